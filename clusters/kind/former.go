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
)

// Objects that no workload has made are the cluster's own, or of whoever uses it besides. What such a one was is kept on the cluster before
// it is changed, in a ConfigMap beside the agents, so that it comes back whatever happens to this process.
const (
	formerLabel = "relapse.dev/former"
	// formerOf is an annotation: the object's kind, namespace and name.
	formerOf = "relapse.dev/former-of"
	// formerText is the key of the object's JSON.
	formerText = "object"
)

// keepFormer keeps what an object is now. Where that was done before, what is kept is what it was before all changes.
func (k *Kind) keepFormer(ctx context.Context, kind, namespace, name string) error {
	text, err := k.objects.get(ctx, kind, namespace, name)
	if err != nil {
		return err
	}
	of := labelled{kind, namespace, name}.String()
	kept := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Name:   fmt.Sprintf("former-%x", sha256.Sum224([]byte(of))),
			Labels: map[string]string{formerLabel: manager}, Annotations: map[string]string{formerOf: of},
		},
		Data: map[string]string{formerText: string(text)},
	}
	_, err = k.cluster.Client.CoreV1().ConfigMaps(agents.Namespace).Create(ctx, kept, metav1.CreateOptions{FieldManager: manager})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("keep what %s is: %w", of, err)
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

// restoreFormers makes all of them what they were. One that is so already does not notice.
func (k *Kind) restoreFormers(ctx context.Context) error {
	kept, err := k.keptFormers(ctx)
	errs := []error{err}
	for _, one := range kept {
		if _, err := k.objects.apply(ctx, []byte(one.Data[formerText])); err != nil {
			errs = append(errs, fmt.Errorf("restore %s: %w", one.Annotations[formerOf], err))
			continue
		}
		errs = append(errs, k.cluster.Client.CoreV1().ConfigMaps(agents.Namespace).Delete(ctx, one.Name, metav1.DeleteOptions{}))
	}
	return errors.Join(errs...)
}
