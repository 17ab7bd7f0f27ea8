package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// service is a Service that every cluster has.
type service struct{ name, address string }

var (
	apiService = service{"default/kubernetes:https", "10.96.0.1"}
	dnsService = service{"kube-system/kube-dns:dns", "10.96.0.10"}
)

// waitReady waits until everything is ready.
func (c *Cluster) waitReady(ctx context.Context, limit time.Duration) error {
	var since time.Time
	return c.WaitFor(ctx, limit, func(ctx context.Context) (string, error) {
		missing, err := c.missing(ctx)
		if err == nil && missing == "" || c.Spec.AllowEgress {
			return missing, err
		}
		switch images := c.missingImages(ctx); {
		case len(images) == 0:
			since = time.Time{}
		case since.IsZero():
			since = time.Now()
		case time.Since(since) > limits.ImageMissing:
			return "", await.Stop(fmt.Errorf("images are missing on the nodes, and the fence blocks downloads: %s; "+
				"relapse cluster create --images DIR brings archives", strings.Join(images, ", ")))
		}
		return missing, err
	})
}

// WaitFor is await.Until, but also ends, with the reason, if a node of the cluster has ended.
func (c *Cluster) WaitFor(ctx context.Context, limit time.Duration, look await.Look) error {
	ctx, done := c.WhileRunning(ctx)
	defer done()
	return await.Until(ctx, limit, limits.Poll, look)
}

// missing says what is not ready, or nothing.
func (c *Cluster) missing(ctx context.Context) (string, error) {
	for _, look := range []func(context.Context) (string, error){c.missingNodes, c.missingCoreDNS, c.missingProxy, c.missingOnNodes} {
		if text, err := look(ctx); err != nil || text != "" {
			return text, err
		}
	}
	return "", nil
}

func (c *Cluster) missingNodes(ctx context.Context) (string, error) {
	list, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", err
	}
	if len(list.Items) != len(c.Nodes) {
		return fmt.Sprintf("%d of %d nodes have joined", len(list.Items), len(c.Nodes)), nil
	}
	for _, node := range list.Items {
		if kubestatus.NodeReady(node).Status != corev1.ConditionTrue {
			return kubestatus.Node(node), nil
		}
	}
	return "", nil
}

func (c *Cluster) missingCoreDNS(ctx context.Context) (string, error) {
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
	return fmt.Sprintf("%d of %d pods of CoreDNS are available%s", status.AvailableReplicas, wanted, c.trouble(ctx, "k8s-app=kube-dns")), nil
}

// trouble says what is wrong with one of the system's pods, if that can be found out.
func (c *Cluster) trouble(ctx context.Context, selector string) string {
	why, _ := kubestatus.Trouble(ctx, c.Client, metav1.NamespaceSystem, selector)
	return why
}

func (c *Cluster) missingProxy(ctx context.Context) (string, error) {
	if c.Spec.Proxy == "none" {
		return "", nil
	}
	proxy, err := c.Client.AppsV1().DaemonSets("kube-system").Get(ctx, "kube-proxy", metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if n := int(proxy.Status.NumberReady); n != len(c.Nodes) {
		return fmt.Sprintf("kube-proxy is ready on %d of %d nodes%s", n, len(c.Nodes), c.trouble(ctx, "k8s-app=kube-proxy")), nil
	}
	return "", nil
}

// rules are the commands, by kube-proxy's mode, that print a node's rules for Services with endpoints.
var rules = map[string]string{
	"iptables": "iptables-save -t nat | grep -F -- '-A KUBE-SERVICES'",
	"nftables": "nft list map ip kube-proxy service-ips",
	"ipvs":     "ip -4 address show dev kube-ipvs0",
}

// in says whether they include the rules of a Service.
func (s service) in(rules string) bool {
	for line := range strings.Lines(rules) {
		for word := range strings.FieldsSeq(line) {
			if word == s.address || strings.HasPrefix(word, s.address+"/") {
				return true
			}
		}
	}
	return false
}

// missingRules looks for kube-proxy's rules for a Service on every node.
func (c *Cluster) missingRules(ctx context.Context, s service) (string, error) {
	show := rules[c.Spec.Proxy]
	if show == "" {
		return "", nil
	}
	for _, node := range c.Nodes {
		out, err := c.run(ctx, node.Container, "", "sh", "-c", show)
		if err != nil || !s.in(out) {
			return fmt.Sprintf("kube-proxy has not written its rules for %s on node %s%s", s.name, node.Container, c.trouble(ctx, "k8s-app=kube-proxy")), ctx.Err()
		}
	}
	return "", nil
}

// missingOnNodes checks what only the nodes themselves know: the CNI configuration, and kube-proxy's rules for CoreDNS.
func (c *Cluster) missingOnNodes(ctx context.Context) (string, error) {
	for _, node := range c.Nodes {
		if c.Spec.CNI == "none" {
			break
		}
		out, err := c.run(ctx, node.Container, "", "sh", "-c", "ls /etc/cni/net.d/*.conf*")
		if err != nil {
			return fmt.Sprintf("node %s has no CNI configuration: %s", node.Container, strings.TrimSpace(out)), ctx.Err()
		}
	}
	return c.missingRules(ctx, dnsService)
}

// missingImages lists the images that kubelets cannot pull.
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
