package agents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// ownerAnnotation of the agents' namespace is JSON.
const ownerAnnotation = "relapse.dev/owner"

const (
	// installLimit is how long the agents may take until they run on every node, or are gone; installEvery is how often that is looked at.
	installLimit = 2 * time.Minute
	installEvery = 200 * time.Millisecond
)

// Install makes the DaemonSet, or changes it to this image, and returns when its agents run on every node. Owner is whose they are from now
// on: see runstate.Self.
func Install(ctx context.Context, client kubernetes.Interface, image string, owner map[string]string, progress func(string)) error {
	err := own(ctx, client, owner)
	if err == nil {
		err = apply(ctx, client, image)
	}
	if err != nil {
		return fmt.Errorf("install the agents: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("limit of %s", installLimit))
	defer cancel()
	tick := time.NewTicker(installEvery)
	defer tick.Stop()
	said := ""
	for {
		now, err := state(ctx, client)
		if err == nil && now == "" {
			return nil
		}
		if err == nil && now != said && progress != nil {
			progress(now)
		}
		if err == nil {
			said = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("install the agents: %w", errors.Join(err, context.Cause(ctx)))
			}
			return fmt.Errorf("install the agents: %s: %w", said, context.Cause(ctx))
		}
	}
}

// own creates the namespace, or says on it whose the agents are now.
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

// apply creates what is not there yet, and updates the DaemonSet where it is.
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

// state says what is not as it should be yet, or nothing.
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
		if reason := waitingFor(pod); reason != "" {
			why = append(why, fmt.Sprintf("%s: %s", pod.Spec.NodeName, reason))
		}
	}
	if len(why) > 0 {
		text += " (" + strings.Join(why, "; ") + ")"
	}
	return text, nil
}

func serves(set *appsv1.DaemonSet, nodes int) bool {
	s := set.Status
	return s.ObservedGeneration >= set.Generation && nodes > 0 && int(s.DesiredNumberScheduled) == nodes &&
		int(s.UpdatedNumberScheduled) == nodes && int(s.NumberReady) == nodes
}

// waitingFor says why a pod does not run.
func waitingFor(pod corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return strings.TrimSpace(c.State.Waiting.Reason + " " + c.State.Waiting.Message)
		case c.State.Terminated != nil:
			return fmt.Sprintf("ended with status %d %s", c.State.Terminated.ExitCode, c.State.Terminated.Message)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Status == corev1.ConditionFalse && c.Message != "" && c.Type == corev1.PodScheduled {
			return c.Message
		}
	}
	return ""
}

// Installed is whether the agents' namespace is there, and whose they are, where it says that.
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

// Uninstall takes the agents away, and their namespace, and returns when they are gone. What is not there is gone already.
func Uninstall(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeoutCause(ctx, installLimit, fmt.Errorf("limit of %s", installLimit))
	defer cancel()
	tick := time.NewTicker(installEvery)
	defer tick.Stop()
	for {
		err := removeOnce(ctx, client)
		if errors.Is(err, errGone) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("take the agents away: namespace %s is still there: %w", Namespace, errors.Join(err, context.Cause(ctx)))
		}
	}
}

// errGone is the end of an Uninstall.
var errGone = errors.New("gone")

// removeOnce goes one step further. The namespace goes last: while there are pods in it, it is looked at again after many seconds only.
func removeOnce(ctx context.Context, client kubernetes.Interface) error {
	err := client.AppsV1().DaemonSets(Namespace).Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	pods, err := podsOf(ctx, client, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(pods) > 0 {
		return fmt.Errorf("%d of its pods are there", len(pods))
	}
	err = client.CoreV1().Namespaces().Delete(ctx, Namespace, metav1.DeleteOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return errGone
	case apierrors.IsConflict(err): // it is being deleted
		return nil
	}
	return err
}
