package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// service is one of those that every cluster has.
type service struct{ name, address string }

var (
	apiService = service{"default/kubernetes:https", "10.96.0.1"}
	dnsService = service{"kube-system/kube-dns:dns", "10.96.0.10"}
)

// imageGrace is how long the kubelet may say that an image is missing before it is believed: it may not have looked since archives
// were loaded.
const imageGrace = 15 * time.Second

// waitReady waits until everything is seen to be ready.
func (c *Cluster) waitReady(ctx context.Context, limit time.Duration) error {
	var since time.Time
	return c.waitFor(ctx, limit, func(ctx context.Context) (string, error) {
		lacks, err := c.lacks(ctx)
		if err == nil && lacks == "" || c.Spec.AllowEgress {
			return lacks, err
		}
		switch images := c.missingImages(ctx); {
		case len(images) == 0:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > imageGrace:
			return "", fatal{fmt.Errorf("the nodes lack an image, and cannot get it through the fence: %s; "+
				"relapse cluster create --images DIR brings archives", strings.Join(images, ", "))}
		}
		return lacks, err
	})
}

// fatal is the error of what no waiting helps against.
type fatal struct{ error }

// waitFor waits until nothing is lacking any more. A failed look is no end.
func (c *Cluster) waitFor(ctx context.Context, limit time.Duration, look func(context.Context) (lacks string, err error)) error {
	ctx, done := c.WhileRunning(ctx)
	defer done()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last := "nothing yet"
	for {
		lacks, err := look(limited)
		var end fatal
		switch {
		case errors.As(err, &end):
			return end.error
		case err != nil && limited.Err() != nil:
			// What was seen before says more than that there was no time to look again.
		case err != nil:
			last = err.Error()
		case lacks == "":
			return nil
		default:
			last = lacks
		}
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("%w; last seen: %s", context.Cause(ctx), last)
			}
			return fmt.Errorf("not ready after %s; last seen: %s", limit, last)
		case <-time.After(pollEvery):
		}
	}
}

// lacks says what is not ready, or nothing.
func (c *Cluster) lacks(ctx context.Context) (string, error) {
	for _, look := range []func(context.Context) (string, error){c.lacksNodes, c.lacksCoreDNS, c.lacksProxy, c.lacksOnNodes} {
		if text, err := look(ctx); err != nil || text != "" {
			return text, err
		}
	}
	return "", nil
}

func (c *Cluster) lacksNodes(ctx context.Context) (string, error) {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(list.Items) != len(c.Nodes) {
		return fmt.Sprintf("%d of %d nodes have joined", len(list.Items), len(c.Nodes)), nil
	}
	for _, node := range list.Items {
		i := slices.IndexFunc(node.Status.Conditions, func(n corev1.NodeCondition) bool { return n.Type == corev1.NodeReady })
		if i < 0 {
			return fmt.Sprintf("node %s has not said whether it is Ready", node.Name), nil
		}
		if ready := node.Status.Conditions[i]; ready.Status != corev1.ConditionTrue {
			return fmt.Sprintf("node %s is not Ready: %s: %s", node.Name, ready.Reason, ready.Message), nil
		}
	}
	return "", nil
}

func (c *Cluster) lacksCoreDNS(ctx context.Context) (string, error) {
	coredns, err := c.Client.AppsV1().Deployments("kube-system").Get(ctx, "coredns", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	wanted, status := int32(1), coredns.Status
	if coredns.Spec.Replicas != nil {
		wanted = *coredns.Spec.Replicas
	}
	if status.ObservedGeneration >= coredns.Generation && status.AvailableReplicas >= wanted && status.UpdatedReplicas >= wanted {
		return "", nil
	}
	return fmt.Sprintf("%d of %d pods of CoreDNS are available%s", status.AvailableReplicas, wanted, c.podTrouble(ctx, "k8s-app=kube-dns")), nil
}

// podTrouble says what is wrong with one of the pods, if they say so.
func (c *Cluster) podTrouble(ctx context.Context, labels string) string {
	pods, err := c.Client.CoreV1().Pods("kube-system").List(ctx, metav1.ListOptions{LabelSelector: labels})
	if err != nil {
		return ""
	}
	for _, pod := range pods.Items {
		for _, s := range pod.Status.ContainerStatuses {
			if w := s.State.Waiting; w != nil {
				return fmt.Sprintf(": pod %s: %s: %s", pod.Name, w.Reason, w.Message)
			}
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Status == corev1.ConditionFalse && condition.Message != "" {
				return fmt.Sprintf(": pod %s: %s: %s", pod.Name, condition.Reason, condition.Message)
			}
		}
	}
	return ""
}

func (c *Cluster) lacksProxy(ctx context.Context) (string, error) {
	if c.Spec.Proxy == "none" {
		return "", nil
	}
	proxy, err := c.Client.AppsV1().DaemonSets("kube-system").Get(ctx, "kube-proxy", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if n := int(proxy.Status.NumberReady); n != len(c.Nodes) {
		return fmt.Sprintf("kube-proxy is ready on %d of %d nodes%s", n, len(c.Nodes), c.podTrouble(ctx, "k8s-app=kube-proxy")), nil
	}
	return "", nil
}

// rules prints, by kube-proxy's mode, the rules by which a node forwards to Services that have endpoints.
var rules = map[string]string{
	"iptables": "iptables-save -t nat | grep -F -- '-A KUBE-SERVICES'",
	"nftables": "nft list map ip kube-proxy service-ips",
	"ipvs":     "ip -4 address show dev kube-ipvs0",
}

// wrote says whether those of a Service are among them.
func (s service) wrote(rules string) bool {
	for line := range strings.Lines(rules) {
		for word := range strings.FieldsSeq(line) {
			if word == s.address || strings.HasPrefix(word, s.address+"/") {
				return true
			}
		}
	}
	return false
}

// lacksRules looks for kube-proxy's rules for a Service on every node.
func (c *Cluster) lacksRules(ctx context.Context, s service) (string, error) {
	show := rules[c.Spec.Proxy]
	if show == "" {
		return "", nil
	}
	for _, node := range c.Nodes {
		out, err := c.run(ctx, node.Container, "", "sh", "-c", show)
		if err != nil || !s.wrote(out) {
			return fmt.Sprintf("kube-proxy has not written its rules for %s on node %s%s", s.name, node.Container, c.podTrouble(ctx, "k8s-app=kube-proxy")), ctx.Err()
		}
	}
	return "", nil
}

// lacksOnNodes looks at what only the nodes themselves know: the CNI's configuration, and kube-proxy's rules for CoreDNS.
func (c *Cluster) lacksOnNodes(ctx context.Context) (string, error) {
	for _, node := range c.Nodes {
		if c.Spec.CNI == "none" {
			break
		}
		out, err := c.run(ctx, node.Container, "", "sh", "-c", "ls /etc/cni/net.d/*.conf*")
		if err != nil {
			return fmt.Sprintf("node %s has no CNI configuration: %s", node.Container, strings.TrimSpace(out)), ctx.Err()
		}
	}
	return c.lacksRules(ctx, dnsService)
}

// missingImages lists images that the kubelets say they cannot get.
func (c *Cluster) missingImages(ctx context.Context) []string {
	pods, err := c.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil
	}
	var images []string
	for _, pod := range pods.Items {
		for _, s := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
			if w := s.State.Waiting; w != nil && slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"}, w.Reason) {
				images = append(images, s.Image)
			}
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}
