package kind

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/harness/history"
)

// followEvents hears the cluster's events from now on, each as an event of its reason: FailedScheduling, NodeNotReady.
func (k *Kind) followEvents(ctx context.Context, hear func(history.Log)) error {
	events := k.cluster.Client.CoreV1().Events(metav1.NamespaceAll)
	list, err := events.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	from := list.ResourceVersion
	// The API server ends a watch now and then; the next one goes on where it was.
	for ctx.Err() == nil {
		watch, err := events.Watch(ctx, metav1.ListOptions{ResourceVersion: from})
		if err != nil {
			return fmt.Errorf("watch events: %w", err)
		}
		for change := range watch.ResultChan() {
			e, ok := change.Object.(*corev1.Event)
			if !ok {
				break
			}
			from = e.ResourceVersion
			hear(eventLine(e))
		}
		watch.Stop()
	}
	return nil
}

// eventLine is an event as kubectl get events has it.
func eventLine(e *corev1.Event) history.Log {
	object := strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name
	return history.Log{
		Source: "kubernetes", On: "cluster", Event: e.Reason,
		Line:   fmt.Sprintf("%s %s %s: %s", e.Type, e.Reason, object, e.Message),
		Fields: map[string]string{"namespace": e.InvolvedObject.Namespace, "object": object, "type": e.Type},
	}
}
