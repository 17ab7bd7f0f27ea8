package kind

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// systemPods are the cluster's own pods outside the host network, by their identity.
func (k *Kind) systemPods(ctx context.Context) (map[types.UID]corev1.Pod, error) {
	list, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	pods := map[types.UID]corev1.Pod{}
	for _, pod := range list.Items {
		if !pod.Spec.HostNetwork {
			pods[pod.UID] = pod
		}
	}
	return pods, nil
}

// systemReady waits until the cluster's own pods are ready.
func (k *Kind) systemReady(ctx context.Context) error {
	return k.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (string, error) {
		pods, err := k.systemPods(ctx)
		if err != nil {
			return "", err
		}
		var waiting []string
		for _, pod := range pods {
			if why := kubestatus.NotReady(pod); why != "" {
				waiting = append(waiting, why)
			}
		}
		slices.Sort(waiting)
		return strings.Join(waiting, "; "), nil
	})
}

// podNetwork matches what a pod has on its node: its link and that link's settings, and kube-proxy's rules.
var podNetwork = regexp.MustCompile(`^(link|address|route|qdisc|sysctl)\b.*\bveth|^nft table ip kube-proxy: |^nft table ip6? (nat|filter|mangle): `)

// proxyRules matches kube-proxy's rules for Services.
var proxyRules = regexp.MustCompile(`^nft table ip6? kube-proxy: |^nft table ip6? (nat|filter|mangle): `)

// replaced lists which of the cluster's own pods were replaced since the beginning.
func (k *Kind) replaced(ctx context.Context) (string, error) {
	now, err := k.systemPods(ctx)
	if err != nil {
		return "", err
	}
	var gone, come []string
	for uid, pod := range k.system {
		if _, still := now[uid]; !still {
			gone = append(gone, pod.Name)
		}
	}
	for uid, pod := range now {
		if _, was := k.system[uid]; !was {
			come = append(come, pod.Name)
		}
	}
	if len(gone)+len(come) == 0 {
		return "", nil
	}
	slices.Sort(gone)
	slices.Sort(come)
	return fmt.Sprintf("the cluster's own pods have changed: deleted %s; created %s", strings.Join(gone, ", "), strings.Join(come, ", ")), nil
}

// Renewed compares the cluster's own pods with those at the beginning. The rules for the Services of lanes beside this one come and go.
func (c *cluster) Renewed(ctx context.Context) (string, func(string) bool, error) {
	what, err := c.kind.replaced(ctx)
	if what == "" && !c.whole() {
		return "", proxyRules.MatchString, err
	}
	if what != "" {
		what += ": they have other addresses and links, which the comparison of the nodes leaves out, and the rules of kube-proxy with them"
	}
	if what == "" {
		return "", nil, err
	}
	return what, podNetwork.MatchString, err
}
