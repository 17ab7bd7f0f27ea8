package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// cluster is one lane's workload on the provider's cluster, with its own agents.
type cluster struct {
	*part

	kind    *Kind
	spec    clusters.Spec
	objects *kubeobjects.Client
	// run is the value of the label of all that this workload consists of.
	run     string
	prepare *preparer
	outside *local.Process

	changing sync.Mutex
	mu       sync.Mutex
	conns    map[string]*agent.Conn
	pods     map[string]*corev1.Pod // by place
	// first are the names of the pods that the workload had in the beginning.
	first map[types.UID]string
	// addresses of all pods so far, including deleted ones.
	addresses map[netip.Addr]bool
	given     map[string][]byte
	// pending are the objects whose pods are not expected to start.
	pending map[string]bool
	// kept are the objects, not created by the workload, that Keep has recorded.
	kept map[string]bool
	// interrupted means that no agent may be started any more.
	interrupted bool

	ending sync.Once
	ended  error
}

// Create deploys a workload to the cluster and returns when its pods run and every place has an agent.
func (k *Kind) Create(ctx context.Context, spec clusters.Spec) (clusters.Cluster, error) {
	p, err := k.take(ctx, spec.Whole, func(ctx context.Context) error { return k.replaceDirty(ctx, spec) })
	if err != nil {
		return nil, err
	}
	c := k.workload(spec, p)
	if err := c.fits(); err != nil {
		return nil, errors.Join(err, c.leave(ctx, ""))
	}
	if err := c.up(ctx); err != nil {
		closed := c.takeDown(ctx)
		dirty := ""
		if ctx.Err() == nil { // else the run has ended anyway
			dirty = c.check(ctx, closed)
		}
		return nil, errors.Join(fmt.Errorf("kind cluster %s: %w", k.cluster.Spec.Name, err), closed, c.leave(ctx, dirty))
	}
	return c, nil
}

// fits says why this workload cannot be on this cluster, or nothing.
func (c *cluster) fits() error {
	switch there := c.kind.cluster.Spec; {
	case c.spec.Nodes > len(c.nodes):
		return fmt.Errorf("kind cluster %s: it has %d nodes for a lane, and %d are needed", there.Name, len(c.nodes), c.spec.Nodes)
	case there.Proxy != c.spec.Proxy:
		return fmt.Errorf("kind cluster %s: its kube-proxy runs in %s mode, and %s was asked for", there.Name, there.Proxy, c.spec.Proxy)
	}
	return nil
}

// leave gives the part back. Dirty is why no other lane can have it, or nothing.
func (c *cluster) leave(ctx context.Context, dirty string) error {
	if err := c.kind.lock.Acquire(context.WithoutCancel(ctx), 1); err != nil {
		return err
	}
	defer c.kind.lock.Release(1)
	c.dirty = dirty
	c.kind.give(c.part)
	return nil
}

// takeDown closes a workload even if ctx has ended, with a limit of its own.
func (c *cluster) takeDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), limits.TakeDown, fmt.Errorf("timed out after %s", limits.TakeDown))
	defer cancel()
	return c.close(ctx)
}

func (k *Kind) workload(spec clusters.Spec, p *part) *cluster {
	run := p.Unique(spec.Run)
	return &cluster{
		part: p, kind: k, spec: spec, run: run, objects: k.objects.In(p.namespace), conns: map[string]*agent.Conn{}, pods: map[string]*corev1.Pod{},
		addresses: map[netip.Addr]bool{}, given: map[string][]byte{}, pending: map[string]bool{}, kept: map[string]bool{},
		prepare: &preparer{run: run, nodes: p.nodes[:min(spec.Nodes, len(p.nodes))], image: k.image, images: map[string]string{}, owners: map[string]string{}},
	}
}

func (c *cluster) up(ctx context.Context) error {
	return c.spec.Make(ctx,
		clusters.Step{What: "outside", Do: c.startOutside},
		clusters.Step{What: "node agents", Do: c.dialNodes},
		clusters.Step{What: "workload", Do: c.applyAll},
		clusters.Step{What: "pods", Do: c.dialPods},
		clusters.Step{What: "ready pods", Do: c.ready},
		clusters.Step{What: "names of the pods", Do: func(ctx context.Context) (err error) { c.first, err = c.names(ctx); return err }},
	)
}

// names are those of the workload's pods.
func (c *cluster) names(ctx context.Context) (map[types.UID]string, error) {
	pods, err := c.workloadPods(ctx)
	return podNames(slices.Values(pods)), err
}

func (c *cluster) startOutside(ctx context.Context) (err error) {
	if err := c.kind.shareOutside(ctx, c.part); err != nil {
		return err
	}
	c.outside, err = c.kind.startOutside(ctx, c.spec.Logs, c.spec.Env, c.kind.gateways(c.part))
	return err
}

func (c *cluster) dialNodes(ctx context.Context) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, node := range c.nodes {
		all.Go(func() error {
			place := "node/" + node.Name
			conn, err := c.kind.dial(ctx, node, place, c.spec.Run, "node")
			if err == nil {
				c.keep(place, conn)
			}
			return err
		})
	}
	return all.Wait()
}

// keep stores a place's agent. The previous one, of a pod that was replaced, is closed.
func (c *cluster) keep(place string, conn *agent.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if former := c.conns[place]; former != nil {
		_ = former.Close() // it may be gone already
	}
	c.conns[place] = conn
	if c.interrupted {
		_ = conn.Close()
	}
}

// applyAll creates the workload's objects.
func (c *cluster) applyAll(ctx context.Context) error {
	for _, text := range sorted(c.spec.Workload) {
		if err := c.put(ctx, c.Adapt(text)); err != nil {
			return err
		}
	}
	return nil
}

// put creates or replaces an object of the workload, unless one exists that the workload does not own.
func (c *cluster) put(ctx context.Context, text []byte) error {
	object, foreign, err := c.foreign(ctx, text)
	switch {
	case err != nil:
		return err
	case foreign:
		return fmt.Errorf("%s already exists on the cluster and does not belong to a workload: use another name in the scenario", object)
	}
	return c.putOwn(ctx, text)
}

// putOwn creates or replaces an object of the workload, and remembers the given text.
func (c *cluster) putOwn(ctx context.Context, text []byte) error {
	prepared, err := c.prepare.prepare(text)
	if err != nil {
		return err
	}
	made, err := c.objects.Apply(ctx, prepared)
	if err != nil {
		return err
	}
	if err := c.established(ctx, made); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given[c.key(made.GetKind(), made.GetNamespace(), made.GetName())] = text
	return nil
}

// established waits until the API server has the objects of a new kind.
func (c *cluster) established(ctx context.Context, made *unstructured.Unstructured) error {
	return c.kind.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (string, error) { return c.objects.Established(ctx, made) })
}

// foreign says whether an object exists that no workload created.
func (c *cluster) foreign(ctx context.Context, text []byte) (kubeobjects.Ref, bool, error) {
	object, _, err := c.objects.Parse(text)
	if err != nil {
		return kubeobjects.Ref{}, false, err
	}
	foreign, err := c.objects.Foreign(ctx, object.GetKind(), object.GetNamespace(), object.GetName())
	return kubeobjects.Ref{Kind: object.GetKind(), Namespace: object.GetNamespace(), Name: object.GetName()}, foreign, err
}

// key names an object; in the default namespace, or the part's own in its place, it needs none.
func (c *cluster) key(kind, namespace, name string) string {
	if namespace == "" || namespace == metav1.NamespaceDefault || namespace == c.part.namespace {
		return kind + " " + name
	}
	return kind + " " + namespace + "/" + name
}

// dialPods waits until the workload's pods run, and starts an agent for each pod without one.
func (c *cluster) dialPods(ctx context.Context) error {
	c.mu.Lock()
	interrupted := c.interrupted
	c.mu.Unlock()
	if interrupted {
		return nil
	}
	pods, err := c.running(ctx)
	if err != nil {
		return err
	}
	places := map[string]*corev1.Pod{}
	all, dialing := errgroup.WithContext(ctx)
	for i := range pods {
		place := "pod/" + pods[i].Name
		places[place] = &pods[i]
		c.mu.Lock()
		old, known := c.pods[place]
		c.mu.Unlock()
		if known && old.UID == pods[i].UID {
			continue
		}
		all.Go(func() error {
			err := c.dialPod(dialing, place, &pods[i])
			if err != nil && !c.over(dialing, &pods[i]) {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if err != nil {
				delete(places, place)
			} else {
				c.pods[place] = &pods[i]
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for place := range c.pods {
		if _, still := places[place]; !still {
			c.hangUp(place)
		}
	}
	c.pods = places
	for _, pod := range places {
		if ip, err := netip.ParseAddr(pod.Status.PodIP); err == nil {
			c.addresses[ip] = true
		}
	}
	return nil
}

// hangUp ends the agent of a place. It is called with the lock held.
func (c *cluster) hangUp(place string) {
	_ = c.conns[place].Close()
	delete(c.conns, place)
}

// dismiss ends the agent of a pod that is about to be deleted.
func (c *cluster) dismiss(pod *corev1.Pod) {
	c.mu.Lock()
	defer c.mu.Unlock()
	place := "pod/" + pod.Name
	if known, ok := c.pods[place]; ok && known.UID == pod.UID {
		c.hangUp(place)
		delete(c.pods, place)
	}
}

// over says whether a pod, which was running just now, has done its work, as the pods of jobs do. The kubelet tells it soon after.
func (c *cluster) over(ctx context.Context, pod *corev1.Pod) bool {
	return await.Until(ctx, limits.Look, limits.Poll, func(ctx context.Context) (string, error) {
		now, err := c.kind.cluster.Client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err != nil || now.Status.Phase != corev1.PodSucceeded {
			return "it has not ended", err
		}
		return "", nil
	}) == nil
}

func (c *cluster) dialPod(ctx context.Context, place string, pod *corev1.Pod) error {
	node, ok := c.on(pod.Spec.NodeName)
	if !ok {
		return fmt.Errorf("%s is on %s, which is not one of this lane's nodes", place, pod.Spec.NodeName)
	}
	conn, err := c.kind.dial(ctx, node, place, c.spec.Run, "pod", containerID(pod))
	if err != nil {
		return err
	}
	c.keep(place, conn)
	return nil
}

// Close deletes the workload, ends the agents, and checks that the nodes are as before.
func (c *cluster) Close(ctx context.Context) error {
	c.ending.Do(func() {
		c.ended = c.close(ctx)
		c.ended = errors.Join(c.ended, c.leave(ctx, c.check(ctx, c.ended)))
	})
	return c.ended
}

// Interrupt closes the streams to all agents. The agents then undo their changes and exit.
func (c *cluster) Interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interrupted = true
	for _, conn := range c.conns {
		_ = conn.Close() // it may be gone already
	}
	if c.outside != nil {
		_ = c.outside.Conn.Close()
	}
}

func (c *cluster) close(ctx context.Context) error {
	c.Interrupt()
	c.mu.Lock()
	conns := maps.Clone(c.conns)
	c.mu.Unlock()
	var errs []error
	for place, conn := range conns {
		select {
		case <-conn.Gone():
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("%s: the agent has not ended: %w", place, context.Cause(ctx)))
		}
	}
	if c.outside != nil {
		errs = append(errs, c.outside.End(ctx))
	}
	return errors.Join(append(errs, c.kind.takeAway(ctx, kubeobjects.RunLabel+"="+c.run), c.kind.restoreFormers(ctx), c.forget(ctx))...)
}

// forget deletes the workload's flows from the nodes' conntrack tables.
func (c *cluster) forget(ctx context.Context) error {
	addresses := []netip.Prefix{netip.MustParsePrefix(outside.Network)}
	c.mu.Lock()
	for ip := range c.addresses {
		addresses = append(addresses, netip.PrefixFrom(ip, ip.BitLen()))
	}
	c.mu.Unlock()
	var errs []error
	for _, conn := range c.agents {
		_, err := netconf.Forget.Call(ctx, conn, addresses, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
