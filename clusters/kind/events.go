package kind

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/logs"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// followEvents reports the lane's events from now on, each under its reason, such as FailedScheduling or NodeNotReady. If a fault cuts
// off the API server, the informer continues when it is reachable again.
func (c *cluster) followEvents(ctx context.Context, hear func(logs.Line)) error {
	informer := informers.NewEventInformer(c.kind.cluster.Client, metav1.NamespaceAll, 0, cache.Indexers{})
	tell := func(object any) {
		if e, ok := object.(*corev1.Event); ok && c.concerns(e.InvolvedObject) {
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
			// After a gap everything is listed again, and reported as changed.
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
	err = c.kind.cluster.WaitFor(ctx, limits.Reach, func(context.Context) (string, error) {
		if !registered.HasSynced() {
			return "the API server has not listed its events yet", nil
		}
		return "", nil
	})
	if err != nil {
		cancel() // ends the informer
		return fmt.Errorf("events: %w", err)
	}
	return nil
}

// concerns says whether an object is one of the lane's: all are, if it has the whole cluster.
func (p *part) concerns(object corev1.ObjectReference) bool {
	if object.Kind == "Node" {
		_, there := p.on(object.Name)
		return there
	}
	return p.whole() || object.Namespace == p.namespace
}

func version(object any) string {
	if e, ok := object.(*corev1.Event); ok {
		return e.ResourceVersion
	}
	return ""
}

// eventLine is an event in the form of kubectl get events.
func eventLine(e *corev1.Event) logs.Line {
	object := strings.ToLower(e.InvolvedObject.Kind) + "/" + e.InvolvedObject.Name
	return logs.Line{
		Source: logs.SourceKubernetes, On: "cluster", Event: e.Reason,
		Line:   fmt.Sprintf("%s %s %s: %s", e.Type, e.Reason, object, e.Message),
		Fields: map[string]string{"namespace": e.InvolvedObject.Namespace, "object": object, "type": e.Type},
	}
}
