package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/clusters/netconf"
	"github.com/relapse-k8s/relapse/clusters/outside"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// cluster is a workload on the provider's cluster, with agents of its own: what a lane of a run has.
type cluster struct {
	kind    *Kind
	spec    clusters.Spec
	objects *objects
	prepare *preparer
	outside *local.Process

	changing sync.Mutex
	mu       sync.Mutex
	conns    map[string]*agent.Conn
	pods     map[string]*corev1.Pod // by place
	// addresses are those of all pods that there were.
	addresses map[netip.Addr]bool
	given     map[string][]byte
	// interrupted is that no agent is to be started any more.
	interrupted bool

	ending sync.Once
	ended  error
}

// Create puts a workload on the cluster and returns when its pods run and every place has an agent.
func (k *Kind) Create(ctx context.Context, spec clusters.Spec) (clusters.Cluster, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.replaceCondemned(ctx, spec); err != nil {
		return nil, err
	}
	if spec.Nodes > len(k.cluster.Nodes) {
		return nil, fmt.Errorf("kind cluster %s: it has %d nodes, and %d are needed", k.cluster.Spec.Name, len(k.cluster.Nodes), spec.Nodes)
	}
	if proxy := k.cluster.Spec.Proxy; proxy != spec.Proxy {
		return nil, fmt.Errorf("kind cluster %s: its kube-proxy runs in %s mode, and %s was asked for", k.cluster.Spec.Name, proxy, spec.Proxy)
	}
	c := k.workload(spec)
	if err := c.up(ctx); err != nil {
		closed := c.takeDown(ctx)
		if ctx.Err() == nil { // else there is nobody whom it would concern
			k.judge(ctx, closed)
		}
		return nil, errors.Join(fmt.Errorf("kind cluster %s: %w", k.cluster.Spec.Name, err), closed)
	}
	return c, nil
}

// takeDown closes a workload whatever has become of ctx, and not for ever.
func (c *cluster) takeDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), takeDownLimit, fmt.Errorf("limit of %s", takeDownLimit))
	defer cancel()
	return c.close(ctx)
}

func (k *Kind) workload(spec clusters.Spec) *cluster {
	return &cluster{
		kind: k, spec: spec, objects: k.objects, conns: map[string]*agent.Conn{}, pods: map[string]*corev1.Pod{},
		addresses: map[netip.Addr]bool{}, given: map[string][]byte{},
		prepare: &preparer{run: spec.Run, nodes: k.cluster.Nodes[:spec.Nodes], image: k.image, images: map[string]string{}, owners: map[string]string{}},
	}
}

func (c *cluster) up(ctx context.Context) error {
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"outside", c.startOutside},
		{"node agents", c.dialNodes},
		{"workload", c.applyAll},
		{"pods", c.dialPods},
	} {
		c.progress("making " + step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (c *cluster) progress(text string) {
	if c.spec.Progress != nil {
		c.spec.Progress(text)
	}
}

func (c *cluster) startOutside(ctx context.Context) (err error) {
	c.outside, err = c.kind.startOutside(ctx, c.spec.Logs, c.spec.Env)
	return err
}

func (c *cluster) dialNodes(ctx context.Context) error {
	for _, node := range c.kind.cluster.Nodes {
		place := "node/" + node.Name
		conn, err := c.kind.dial(ctx, node, place, c.spec.Run, "node")
		if err != nil {
			return err
		}
		c.keep(place, conn)
	}
	return nil
}

// keep makes an agent the one of a place. The one before it, of a pod that was replaced, ends.
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

// applyAll makes the workload's objects.
func (c *cluster) applyAll(ctx context.Context) error {
	for _, text := range sorted(c.spec.Workload) {
		if err := c.put(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// put makes or replaces an object of the workload, unless one is there that is somebody else's.
func (c *cluster) put(ctx context.Context, text []byte) error {
	object, foreign, err := c.foreign(ctx, text)
	switch {
	case err != nil:
		return err
	case foreign:
		return fmt.Errorf("%s is there already, and no workload has made it", object)
	}
	return c.putOwn(ctx, text)
}

// putOwn makes or replaces an object of the workload, and remembers it as it was given.
func (c *cluster) putOwn(ctx context.Context, text []byte) error {
	if err := errors.Join(checkKinds([][]byte{text})...); err != nil {
		return err
	}
	prepared, err := c.prepare.prepare(text)
	if err != nil {
		return err
	}
	made, err := c.objects.apply(ctx, prepared)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given[key(made.GetKind(), made.GetNamespace(), made.GetName())] = text
	return nil
}

// foreign is whether an object is there that no workload has made.
func (c *cluster) foreign(ctx context.Context, text []byte) (labelled, bool, error) {
	object, _, err := c.objects.parse(text)
	if err != nil {
		return labelled{}, false, err
	}
	foreign, err := c.objects.foreign(ctx, object.GetKind(), object.GetNamespace(), object.GetName())
	return labelled{object.GetKind(), object.GetNamespace(), object.GetName()}, foreign, err
}

// key names an object; in the default namespace it needs none.
func key(kind, namespace, name string) string {
	if namespace == "" || namespace == metav1.NamespaceDefault {
		return kind + " " + name
	}
	return kind + " " + namespace + "/" + name
}

// dialPods waits until the workload's pods run, and gives each that has none an agent.
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
	for i := range pods {
		place := "pod/" + pods[i].Name
		places[place] = &pods[i]
		c.mu.Lock()
		old, known := c.pods[place]
		c.mu.Unlock()
		if known && old.UID == pods[i].UID {
			continue
		}
		if err := c.dialPod(ctx, place, &pods[i]); err != nil {
			return err
		}
		c.mu.Lock()
		c.pods[place] = &pods[i]
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for place := range c.pods {
		if _, still := places[place]; !still {
			_ = c.conns[place].Close()
			delete(c.conns, place)
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

func (c *cluster) dialPod(ctx context.Context, place string, pod *corev1.Pod) error {
	i := slices.IndexFunc(c.kind.cluster.Nodes, func(n provision.Node) bool { return n.Container == pod.Spec.NodeName })
	if i < 0 {
		return fmt.Errorf("%s is on %s, which is no node of the cluster", place, pod.Spec.NodeName)
	}
	conn, err := c.kind.dial(ctx, c.kind.cluster.Nodes[i], place, c.spec.Run, "pod", containerID(pod))
	if err != nil {
		return err
	}
	c.keep(place, conn)
	return nil
}

// running waits until the pods of the workload are as many as they should be, run, and have addresses.
func (c *cluster) running(ctx context.Context) ([]corev1.Pod, error) {
	want, err := c.wanted()
	if err != nil {
		return nil, err
	}
	var pods []corev1.Pod
	err = c.kind.eventually(ctx, podsLimit, func(ctx context.Context) (string, error) {
		list, err := c.kind.cluster.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: runLabel + "=" + c.spec.Run})
		if err != nil {
			return "", err
		}
		var missing []string
		have := map[string]int{}
		pods = list.Items
		for _, pod := range pods {
			if why := notRunning(&pod); why != "" {
				missing = append(missing, why)
				continue
			}
			have[pod.Labels[ownerLabel]]++
		}
		for owner, n := range want {
			if have[owner] != n {
				missing = append(missing, fmt.Sprintf("%s has %d pods that run, not %d", owner, have[owner], n))
			}
		}
		slices.Sort(missing)
		return strings.Join(missing, "; "), nil
	})
	return pods, err
}

// wanted is how many pods each Pod and Deployment of the workload should have.
func (c *cluster) wanted() (map[string]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := map[string]int{}
	for _, text := range c.given {
		var object struct {
			metav1.TypeMeta
			Metadata metav1.ObjectMeta       `json:"metadata"`
			Spec     struct{ Replicas *int } `json:"spec"`
		}
		if err := json.Unmarshal(text, &object); err != nil {
			return nil, err
		}
		switch {
		case object.Kind == "Pod", object.Kind == "Deployment" && object.Spec.Replicas == nil:
			want[object.Metadata.Name] = 1
		case object.Kind == "Deployment":
			want[object.Metadata.Name] = *object.Spec.Replicas
		}
	}
	return want, nil
}

func notRunning(pod *corev1.Pod) string {
	status := pod.Status
	if pod.DeletionTimestamp != nil {
		return pod.Name + " is being deleted"
	}
	for _, c := range status.ContainerStatuses {
		if c.State.Waiting != nil {
			return strings.TrimSpace(fmt.Sprintf("%s: container %s waits: %s %s", pod.Name, c.Name, c.State.Waiting.Reason, c.State.Waiting.Message))
		}
		if c.State.Terminated != nil {
			return fmt.Sprintf("%s: container %s has ended with exit status %d", pod.Name, c.Name, c.State.Terminated.ExitCode)
		}
	}
	for _, condition := range status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return fmt.Sprintf("%s is not scheduled: %s", pod.Name, condition.Message)
		}
	}
	if status.Phase != corev1.PodRunning || status.PodIP == "" || len(status.ContainerStatuses) == 0 {
		return fmt.Sprintf("%s is %s", pod.Name, status.Phase)
	}
	return ""
}

// Close takes the workload away, ends the agents, and looks whether the nodes are as before.
func (c *cluster) Close(ctx context.Context) error {
	c.ending.Do(func() {
		c.ended = c.close(ctx)
		c.kind.mu.Lock()
		defer c.kind.mu.Unlock()
		c.kind.judge(ctx, c.ended)
	})
	return c.ended
}

// Interrupt ends the streams to all agents, upon which they undo what they have made, and end.
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
	return errors.Join(append(errs, c.kind.takeAway(ctx, runLabel+"="+c.spec.Run), c.kind.restoreFormers(ctx), c.forget(ctx))...)
}

// forget takes the workload's flows out of the nodes' conntrack tables.
func (c *cluster) forget(ctx context.Context) error {
	addresses := []netip.Prefix{netip.MustParsePrefix(outside.Network)}
	c.mu.Lock()
	for ip := range c.addresses {
		addresses = append(addresses, netip.PrefixFrom(ip, ip.BitLen()))
	}
	c.mu.Unlock()
	var errs []error
	for _, conn := range c.kind.nodes {
		_, err := netconf.Forget.Call(ctx, conn, addresses, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
