package kind

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
)

// Objects that no workload created belong to the cluster or to its other users. Before such an object is changed, its original is stored
// on the cluster, in a ConfigMap in the agents' namespace, so that it can be restored even if this process dies.
const (
	formerLabel = "relapse.dev/former"
	// formerOf is an annotation: the object's kind, namespace and name.
	formerOf = "relapse.dev/former-of"
	// formerText is the key of the object's JSON.
	formerText = "object"
)

// keepFormer stores an object's current state, unless its state before an earlier change is stored already.
func (k *Kind) keepFormer(ctx context.Context, object kubeobjects.Ref, text []byte) error {
	kept := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("former-%x", sha256.Sum224([]byte(object.String()))),
			Labels: map[string]string{formerLabel: kubeobjects.Manager}, Annotations: map[string]string{formerOf: object.String()},
		},
		Data: map[string]string{formerText: string(text)},
	}
	_, err := k.cluster.Client.CoreV1().ConfigMaps(agents.Namespace).Create(ctx, kept, metav1.CreateOptions{FieldManager: kubeobjects.Manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("store the original of %s: %w", object, err)
	}
	return nil
}

func (k *Kind) keptFormers(ctx context.Context) ([]corev1.ConfigMap, error) {
	list, err := k.cluster.Client.CoreV1().ConfigMaps(agents.Namespace).List(ctx, metav1.ListOptions{LabelSelector: formerLabel})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// restoreFormers restores all stored objects. It does not change those that are restored already.
func (k *Kind) restoreFormers(ctx context.Context) error {
	kept, err := k.keptFormers(ctx)
	errs := []error{err}
	for _, one := range kept {
		if _, err := k.objects.Apply(ctx, []byte(one.Data[formerText])); err != nil {
			errs = append(errs, fmt.Errorf("restore %s: %w", one.Annotations[formerOf], err))
			continue
		}
		errs = append(errs, k.cluster.Client.CoreV1().ConfigMaps(agents.Namespace).Delete(ctx, one.Name, metav1.DeleteOptions{}))
	}
	return errors.Join(errs...)
}
