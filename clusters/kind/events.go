package kind

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/relapse-k8s/relapse/harness/history"
)

// followEvents hears the cluster's events from now on, each as an event of its reason: FailedScheduling, NodeNotReady. Where a fault cuts
// the way to the API server off, the informer goes on when it is back.
func (k *Kind) followEvents(ctx context.Context, hear func(history.Log)) error {
	informer := informers.NewEventInformer(k.cluster.Client, metav1.NamespaceAll, 0, cache.Indexers{})
	tell := func(object any) {
		if e, ok := object.(*corev1.Event); ok {
			hear(eventLine(e))
		}
	}
	registered, err := informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(object any, old bool) {
			if !old {
				tell(object)
			}
		},
		UpdateFunc: func(former, object any) {
			// After a gap everything is listed again, and told as changed.
			if version(former) != version(object) {
				tell(object)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() { informer.RunWithContext(ctx) })
	defer running.Wait()
	err = k.eventually(ctx, reachLimit, func(context.Context) (string, error) {
		if !registered.HasSynced() {
			return "the API server has not listed its events", nil
		}
		return "", nil
	})
	if err != nil {
		cancel() // before it is waited for: whoever hears nothing says so
		return fmt.Errorf("events: %w", err)
	}
	return nil
}

func version(object any) string {
	if e, ok := object.(*corev1.Event); ok {
		return e.ResourceVersion
	}
	return ""
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
