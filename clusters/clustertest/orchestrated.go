package clustertest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
)

// Orchestrated is a clusters.Orchestrated too: its nodes are ready if Ready says so, and of each node pods run only while it is ready.
type Orchestrated struct {
	*Cluster
	// Ready is whether the kubelet of a node would say that it is ready.
	Ready func(ctx context.Context, node string) (bool, error)

	mu   sync.Mutex
	pods map[string]int // how many times they were made anew, by namespace and selector
}

// lookEvery is how often a wait looks.
const lookEvery = 5 * time.Millisecond

// NotReady counts the nodes that are not ready.
func (o *Orchestrated) NotReady(ctx context.Context) (int, error) {
	if err := o.fail("not-ready"); err != nil {
		return 0, err
	}
	nodes, err := o.Resolve("nodes")
	if err != nil {
		return 0, err
	}
	count := 0
	for _, node := range nodes {
		ready, err := o.Ready(ctx, node)
		if err != nil {
			return 0, err
		}
		if !ready {
			count++
		}
	}
	return count, nil
}

// AwaitNodes waits until all nodes are ready, or all are not.
func (o *Orchestrated) AwaitNodes(ctx context.Context, ready bool) error {
	if err := o.fail("await-nodes %t", ready); err != nil {
		return err
	}
	nodes, err := o.Resolve("nodes")
	if err != nil {
		return err
	}
	return await.Until(ctx, 0, lookEvery, func(ctx context.Context) (string, error) {
		count, err := o.NotReady(ctx)
		if err != nil || count == 0 && ready || count == len(nodes) && !ready {
			return "", await.Stop(err)
		}
		return fmt.Sprintf("%d of %d nodes are not ready", count, len(nodes)), nil
	})
}

// CountPods says that there are two such pods: they run unless they were made anew while no node was ready.
func (o *Orchestrated) CountPods(ctx context.Context, namespace, selector string) (pending, running int, err error) {
	if err := o.fail("count-pods"); err != nil {
		return 0, 0, err
	}
	notReady, err := o.NotReady(ctx)
	if err != nil {
		return 0, 0, err
	}
	nodes, err := o.Resolve("nodes")
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pods[namespace+" "+selector] > 0 && notReady == len(nodes) {
		return 2, 0, err
	}
	return 0, 2, err
}

// DeletePods makes such pods anew.
func (o *Orchestrated) DeletePods(ctx context.Context, namespace, selector string, _ bool) error {
	if err := o.fail("delete-pods %s %s", namespace, selector); err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.pods == nil {
		o.pods = map[string]int{}
	}
	o.pods[namespace+" "+selector]++
	return ctx.Err()
}

// Deleted is how many times pods were deleted.
func (o *Orchestrated) Deleted(namespace, selector string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pods[namespace+" "+selector]
}

// ApplyPending keeps an object whose pods do not start.
func (o *Orchestrated) ApplyPending(ctx context.Context, object []byte) error {
	return o.Apply(ctx, object)
}

// PodsOf says that the one pod of each object runs.
func (o *Orchestrated) PodsOf(context.Context, string, string, string) (pending, running int, err error) {
	return 0, 1, o.fail("pods-of")
}

// RestartCoreDNS does nothing more.
func (o *Orchestrated) RestartCoreDNS(context.Context) error { return o.fail("restart-coredns") }

// CoreDNS says that two of two pods serve.
func (o *Orchestrated) CoreDNS(context.Context) (serving, pods int, err error) {
	return 2, 2, o.fail("coredns")
}
