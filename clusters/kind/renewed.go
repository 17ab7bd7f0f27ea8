package kind

import (
	"context"
	"fmt"
	"iter"
	"maps"
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

// podNetwork matches what a pod has on its node: its link, which Calico and Cilium call cali… and lxc…, that link's settings, and the rules
// of kube-proxy and Calico.
var podNetwork = regexp.MustCompile(`^(link|address|neighbour|route|qdisc|sysctl)\b.*\b(veth|cali|lxc)|^nft table ip kube-proxy: |^nft table ip6? (nat|filter|mangle|raw): `)

// proxyRules matches kube-proxy's rules for Services.
var proxyRules = regexp.MustCompile(`^nft table ip6? kube-proxy: |^nft table ip6? (nat|filter|mangle): `)

// replaced lists which of the cluster's own pods were replaced since the beginning.
func (k *Kind) replaced(ctx context.Context) (string, error) {
	pods, err := k.systemPods(ctx)
	if err != nil {
		return "", err
	}
	return changed("the cluster's own pods", podNames(maps.Values(k.system)), podNames(maps.Values(pods))), nil
}

// controllers are those of pods, one for each pod; a pod without one is its own.
func controllers(pods map[types.UID]corev1.Pod) []types.UID {
	var all []types.UID
	for uid, pod := range pods {
		if owner := metav1.GetControllerOf(&pod); owner != nil {
			uid = owner.UID
		}
		all = append(all, uid)
	}
	slices.Sort(all)
	return all
}

func podNames(pods iter.Seq[corev1.Pod]) map[types.UID]string {
	names := map[types.UID]string{}
	for pod := range pods {
		names[pod.UID] = pod.Name
	}
	return names
}

// changed says which pods have gone and come, or nothing.
func changed(whose string, before, now map[types.UID]string) string {
	without := func(all, others map[types.UID]string) string {
		left := maps.Clone(all)
		maps.DeleteFunc(left, func(uid types.UID, _ string) bool { _, there := others[uid]; return there })
		return strings.Join(slices.Sorted(maps.Values(left)), ", ")
	}
	gone, come := without(before, now), without(now, before)
	if gone == "" && come == "" {
		return ""
	}
	return fmt.Sprintf("%s have changed: deleted %s; created %s", whose, gone, come)
}

// Renewed compares the cluster's own pods, and those of the workload, with those at the beginning. The rules for the Services of lanes
// beside this one come and go.
func (c *cluster) Renewed(ctx context.Context) (string, func(string) bool, error) {
	system, err := c.kind.replaced(ctx)
	if err != nil {
		return "", nil, err
	}
	now, err := c.names(ctx)
	if err != nil {
		return "", nil, err
	}
	all := slices.DeleteFunc([]string{system, changed("the scenario's pods", c.first, now)}, func(s string) bool { return s == "" })
	switch {
	case len(all) > 0:
		return strings.Join(all, "; ") + ": they have other addresses and links, which the comparison of the nodes leaves out, and the rules of kube-proxy with them",
			podNetwork.MatchString, nil
	case !c.whole():
		return "", proxyRules.MatchString, nil
	}
	return "", nil, nil
}
