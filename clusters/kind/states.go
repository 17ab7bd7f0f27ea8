package kind

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/harness/history"
)

// lookAgain is how often states are looked at, as a person would with kubectl get --watch.
const lookAgain = time.Second

// Events of states that are not as they should be, said again at every look.
const (
	eventNodeNotReady = "node-not-ready"
	eventPodPending   = "pod-pending"
)

// followStates says of every node that is not ready, and of every pod of the system that is pending, that it is so.
func (k *Kind) followStates(ctx context.Context, hear func(history.Log)) error {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		lines, _ := k.statesSoon(ctx) // a fault may cut the way to the API server off for a while
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

func (k *Kind) statesSoon(ctx context.Context) ([]history.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	return k.states(ctx)
}

func (k *Kind) states(ctx context.Context) ([]history.Log, error) {
	nodes, err := k.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("nodes: %w", err)
	}
	pods, err := k.cluster.Client.CoreV1().Pods(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("pods: %w", err)
	}
	var lines []history.Log
	say := func(event, line string, fields map[string]string) {
		lines = append(lines, history.Log{Source: "kubernetes", On: "cluster", Event: event, Line: line, Fields: fields})
	}
	for _, node := range nodes.Items {
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				say(eventNodeNotReady, fmt.Sprintf("node/%s NotReady: %s", node.Name, strings.TrimSpace(c.Message)), map[string]string{"reason": c.Reason})
			}
		}
	}
	for _, pod := range pods.Items {
		if pod.Status.Phase == corev1.PodPending {
			say(eventPodPending, fmt.Sprintf("pod/%s -n %s Pending", pod.Name, pod.Namespace), map[string]string{"app": pod.Labels["k8s-app"]})
		}
	}
	return lines, nil
}
