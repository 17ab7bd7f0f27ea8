package agents

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// ownerAnnotation of the agents' namespace is JSON.
const ownerAnnotation = "relapse.dev/owner"

// Install creates the DaemonSet, or updates it to this image, and returns when agents run on every node. Owner is their new owner: see
// runstate.Self.
func Install(ctx context.Context, client kubernetes.Interface, image string, owner map[string]string, progress func(string)) error {
	err := own(ctx, client, owner)
	if err == nil {
		err = apply(ctx, client, image)
	}
	if err != nil {
		return fmt.Errorf("install the agents: %w", err)
	}
	said := ""
	err = await.Until(ctx, limits.AgentsInstalled, limits.Poll, func(ctx context.Context) (string, error) {
		missing, err := state(ctx, client)
		if count, _, _ := strings.Cut(missing, " ("); err == nil && missing != "" && count != said && progress != nil {
			progress(missing)
			said = count
		}
		return missing, err
	})
	if err != nil {
		return fmt.Errorf("install the agents: %w", err)
	}
	return nil
}

// own creates the namespace, or changes the owner that its annotation names.
func own(ctx context.Context, client kubernetes.Interface, owner map[string]string) error {
	text, err := json.Marshal(owner)
	if err != nil {
		return err
	}
	object := namespaceObject()
	object.Annotations = map[string]string{ownerAnnotation: string(text)}
	_, err = client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": object.Annotations}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Namespaces().Patch(ctx, Namespace, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// apply creates missing objects, and updates an existing DaemonSet.
func apply(ctx context.Context, client kubernetes.Interface, image string) error {
	if _, err := client.CoreV1().ServiceAccounts(Namespace).Create(ctx, accountObject(), metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	sets := client.AppsV1().DaemonSets(Namespace)
	_, err := sets.Create(ctx, daemonSet(image), metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	old, err := sets.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	set := daemonSet(image)
	set.ResourceVersion = old.ResourceVersion
	_, err = sets.Update(ctx, set, metav1.UpdateOptions{})
	return err
}

// state says what is not ready yet, or nothing.
func state(ctx context.Context, client kubernetes.Interface) (string, error) {
	set, err := client.AppsV1().DaemonSets(Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	all := len(nodes.Items)
	if serves(set, all) {
		return "", nil
	}
	pods, err := podsOf(ctx, client, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("agents on %d of %d nodes", set.Status.NumberReady, all)
	var why []string
	for _, pod := range pods {
		if reason := kubestatus.NotReady(pod); reason != "" {
			why = append(why, fmt.Sprintf("%s: %s", pod.Spec.NodeName, reason))
		}
	}
	switch {
	case len(why) == 1:
		text += " (" + why[0] + ")"
	case len(why) > 1:
		text += fmt.Sprintf(" (%s; and %d more)", why[0], len(why)-1)
	}
	return text, nil
}

func serves(set *appsv1.DaemonSet, nodes int) bool {
	s := set.Status
	return s.ObservedGeneration >= set.Generation && nodes > 0 && int(s.DesiredNumberScheduled) == nodes &&
		int(s.UpdatedNumberScheduled) == nodes && int(s.NumberReady) == nodes
}

// Installed says whether the agents' namespace exists, and returns the owner that it names, if any.
func Installed(ctx context.Context, client kubernetes.Interface) (owner map[string]string, there bool, err error) {
	object, err := client.CoreV1().Namespaces().Get(ctx, Namespace, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if text := object.Annotations[ownerAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &owner); err != nil {
			return nil, true, fmt.Errorf("namespace %s: annotation %s: %w", Namespace, ownerAnnotation, err)
		}
	}
	return owner, true, nil
}

// Uninstall deletes the agents and their namespace, and returns when they are gone. It succeeds if there are none.
func Uninstall(ctx context.Context, client kubernetes.Interface) error {
	err := await.Until(ctx, limits.AgentsInstalled, limits.Poll, func(ctx context.Context) (string, error) { return removeOnce(ctx, client) })
	if err != nil {
		return fmt.Errorf("delete the agents: %w", err)
	}
	return nil
}

// removeOnce takes the next step, and says what is left. The namespace is last: while it has pods, Kubernetes retries its deletion only
// after many seconds.
func removeOnce(ctx context.Context, client kubernetes.Interface) (left string, err error) {
	err = client.AppsV1().DaemonSets(Namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return "", err
	}
	pods, err := podsOf(ctx, client, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(pods) > 0 {
		return fmt.Sprintf("%d of their pods are left", len(pods)), nil
	}
	err = client.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if apierrors.IsConflict(err) { // it is being deleted
		err = nil
	}
	return "namespace " + Namespace + " is left", err
}
