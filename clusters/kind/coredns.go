package kind

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// corednsLabels select CoreDNS's pods.
const corednsLabels = "k8s-app=kube-dns"

func (c *cluster) corednsPods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := c.kind.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: corednsLabels})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// RestartCoreDNS deletes CoreDNS's pods and waits for their successors, which read the ConfigMap.
func (c *cluster) RestartCoreDNS(ctx context.Context) error {
	if err := c.DeletePods(ctx, metav1.NamespaceSystem, corednsLabels, false); err != nil {
		return err
	}
	err := c.kind.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (string, error) {
		pods, err := c.corednsPods(ctx)
		if err != nil {
			return "", err
		}
		for _, pod := range pods {
			if why := kubestatus.NotReady(pod); why != "" && !restarted(pod) {
				return why, nil
			}
		}
		if len(pods) == 0 {
			return "CoreDNS has no pods yet", nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	return c.Settle(ctx)
}

// restarted is whether a container of a pod has ended.
func restarted(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.RestartCount > 0 || s.State.Terminated != nil
	})
}

// CoreDNS counts its pods, and those that are ready.
func (c *cluster) CoreDNS(ctx context.Context) (serving, all int, err error) {
	pods, err := c.corednsPods(ctx)
	for _, pod := range pods {
		if kubestatus.NotReady(pod) == "" {
			serving++
		}
	}
	return serving, len(pods), err
}
