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

// clusterDNS is the address that kubeadm gives the DNS Service.
const clusterDNS = "10.96.0.10"

// imageGrace is how long the kubelet may say that an image is missing before it is believed: it may not have looked since archives
// were loaded.
const imageGrace = 15 * time.Second

// waitReady waits until everything is seen to be ready.
func (c *Cluster) waitReady(ctx context.Context, limit time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	last, missing := "nothing yet", time.Time{}
	for {
		lacks, err := c.lacks(limited)
		switch {
		case err != nil && limited.Err() != nil:
			// What was seen before says more than that there was no time to look again.
		case err != nil:
			last = err.Error()
		case lacks == "":
			return nil
		default:
			last = lacks
		}
		if images := c.missingImages(limited); len(images) == 0 {
			missing = time.Time{}
		} else if missing.IsZero() {
			missing = time.Now()
		} else if !c.Spec.AllowEgress && time.Since(missing) > imageGrace {
			return fmt.Errorf("the nodes lack an image, and cannot get it through the fence: %s; "+
				"relapse cluster create --images DIR brings archives, relapse cluster load ARCHIVE too", strings.Join(images, ", "))
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), fmt.Errorf("last seen: %s", last))
		case <-limited.Done():
			return fmt.Errorf("not ready after %s; last seen: %s", limit, last)
		case <-after(pollEvery):
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

// synced prints the rules by which a node forwards to Services that have endpoints.
var synced = map[string]string{
	"iptables": "iptables-save -t nat | grep -F 'kube-system/kube-dns:dns ' | grep -F KUBE-SVC",
	"nftables": "nft list map ip kube-proxy service-ips",
	"ipvs":     "ipvsadm-save -n 2>/dev/null || ip -4 address show dev kube-ipvs0",
}

// lacksOnNodes looks at what only the nodes themselves know: the CNI's configuration, and kube-proxy's rules for CoreDNS.
func (c *Cluster) lacksOnNodes(ctx context.Context) (string, error) {
	for _, node := range c.Nodes {
		if c.Spec.CNI != "none" {
			out, err := c.run(ctx, node.Container, "", "sh", "-c", "ls /etc/cni/net.d/*.conf*")
			if err != nil {
				return fmt.Sprintf("node %s has no CNI configuration: %s", node.Container, strings.TrimSpace(out)), ctx.Err()
			}
		}
		if show := synced[c.Spec.Proxy]; show != "" {
			out, err := c.run(ctx, node.Container, "", "sh", "-c", show)
			if err != nil || !strings.Contains(out, clusterDNS) && c.Spec.Proxy != "iptables" {
				return fmt.Sprintf("kube-proxy has not written its rules for CoreDNS on node %s", node.Container), ctx.Err()
			}
		}
	}
	return "", nil
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
