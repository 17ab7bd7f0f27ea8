package kind

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/logs"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// followStates reports every node of the lane that is not ready, and every pending pod of the system and of the lane.
func (c *cluster) followStates(ctx context.Context, hear func(logs.Line)) error {
	tick := time.NewTicker(limits.StatesPoll)
	defer tick.Stop()
	for {
		lines, _ := c.statesSoon(ctx) // a fault may cut off the API server for a while
		for _, line := range lines {
			hear(line)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (c *cluster) statesSoon(ctx context.Context) ([]logs.Line, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.Look)
	defer cancel()
	return c.states(ctx)
}

func (c *cluster) states(ctx context.Context) ([]logs.Line, error) {
	nodes, err := c.kind.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	var pods []corev1.Pod
	for _, namespace := range []string{metav1.NamespaceSystem, c.namespace} {
		some, err := c.kind.cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("pods of %s: %w", namespace, err)
		}
		pods = append(pods, some.Items...)
	}
	var lines []logs.Line
	say := func(event, line string, fields map[string]string) {
		lines = append(lines, logs.Line{Source: logs.SourceKubernetes, On: "cluster", Event: event, Line: line, Fields: fields})
	}
	for _, node := range nodes.Items {
		if _, ours := c.on(node.Name); !ours {
			continue
		}
		if r := kubestatus.NodeReady(node); r.Status != corev1.ConditionTrue {
			say(logs.NodeNotReady, fmt.Sprintf("node/%s NotReady: %s", node.Name, strings.TrimSpace(r.Message)), map[string]string{"reason": r.Reason})
		}
	}
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodPending {
			reason, why := kubestatus.Pending(pod)
			say(logs.PodPending, strings.TrimRight(fmt.Sprintf("pod/%s -n %s Pending: %s: %s", pod.Name, pod.Namespace, reason, why), ": "),
				map[string]string{"app": cmp.Or(pod.Labels["k8s-app"], pod.Labels["app"]), "reason": reason})
		}
	}
	return lines, nil
}
