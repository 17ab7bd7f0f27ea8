package kind

import (
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

// followStates reports every node that is not ready, and every pending pod of the system.
func (k *Kind) followStates(ctx context.Context, hear func(logs.Line)) error {
	tick := time.NewTicker(limits.StatesPoll)
	defer tick.Stop()
	for {
		lines, _ := k.statesSoon(ctx) // a fault may cut off the API server for a while
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

func (k *Kind) statesSoon(ctx context.Context) ([]logs.Line, error) {
	ctx, cancel := context.WithTimeout(ctx, limits.Look)
	defer cancel()
	return k.states(ctx)
}

func (k *Kind) states(ctx context.Context) ([]logs.Line, error) {
	nodes, err := k.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	pods, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("pods: %w", err)
	}
	var lines []logs.Line
	say := func(event, line string, fields map[string]string) {
		lines = append(lines, logs.Line{Source: logs.SourceKubernetes, On: "cluster", Event: event, Line: line, Fields: fields})
	}
	for _, node := range nodes.Items {
		if c := kubestatus.NodeReady(node); c.Status != corev1.ConditionTrue {
			say(logs.NodeNotReady, fmt.Sprintf("node/%s NotReady: %s", node.Name, strings.TrimSpace(c.Message)), map[string]string{"reason": c.Reason})
		}
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodPending {
			say(logs.PodPending, fmt.Sprintf("pod/%s -n %s Pending", pod.Name, pod.Namespace), map[string]string{"app": pod.Labels["k8s-app"]})
		}
	}
	return lines, nil
}
