package kind

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/relapse-k8s/relapse/clusters/kind/kubestatus"
	"github.com/relapse-k8s/relapse/clusters/limits"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

// AwaitNodes waits for the condition Ready of all nodes, and if they are to be ready for the cluster's own pods too.
func (c *cluster) AwaitNodes(ctx context.Context, ready bool) error {
	err := c.awaitNodes(ctx, ready)
	if err != nil || !ready {
		return err
	}
	return c.kind.systemReady(ctx)
}

func (c *cluster) awaitNodes(ctx context.Context, ready bool) error {
	return c.kind.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (string, error) {
		list, err := c.kind.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return "", err
		}
		var others []string
		for _, node := range list.Items {
			if (kubestatus.NodeReady(node).Status == corev1.ConditionTrue) != ready {
				others = append(others, kubestatus.Node(node))
			}
			// The scheduler goes by the taint, which follows the condition.
			tainted := slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeNotReady })
			if tainted == ready {
				others = append(others, fmt.Sprintf("node %s: taint %s is there: %t", node.Name, corev1.TaintNodeNotReady, tainted))
			}
		}
		return strings.Join(others, "; "), nil
	})
}

// NotReady counts the nodes whose condition Ready is not true.
func (c *cluster) NotReady(ctx context.Context) (int, error) {
	list, err := c.kind.cluster.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	n := 0
	for _, node := range list.Items {
		if kubestatus.NodeReady(node).Status != corev1.ConditionTrue {
			n++
		}
	}
	return n, nil
}

// CountPods counts by phase.
func (c *cluster) CountPods(ctx context.Context, namespace, selector string) (pending, running int, err error) {
	list, err := c.kind.cluster.Client.CoreV1().Pods(c.local(namespace)).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return 0, 0, err
	}
	for _, pod := range list.Items {
		switch pod.Status.Phase {
		case corev1.PodPending:
			pending++
		case corev1.PodRunning:
			running++
		}
	}
	return pending, running, nil
}

// PodsOf counts the pods of an object of the workload by phase.
func (c *cluster) PodsOf(ctx context.Context, apiVersion, kind, name string) (pending, running int, err error) {
	if _, pods := podtemplate.Path(apiVersion, kind); !pods {
		return 0, 0, nil
	}
	return c.CountPods(ctx, metav1.NamespaceDefault, ownerLabel+"="+name)
}

// DeletePods deletes pods by force: without a CNI the kubelet cannot take their network away, and an ordinary deletion does not end.
func (c *cluster) DeletePods(ctx context.Context, namespace, selector string, ready bool) error {
	pods := c.kind.cluster.Client.CoreV1().Pods(c.local(namespace))
	options := metav1.ListOptions{LabelSelector: selector}
	list, err := pods.List(ctx, options)
	if err != nil {
		return err
	}
	old := map[types.UID]bool{}
	now := int64(0)
	for _, pod := range list.Items {
		old[pod.UID] = true
		c.dismiss(&pod)
		if err := pods.Delete(ctx, pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("delete pod %s: %w", pod.Name, err)
		}
	}
	err = c.kind.cluster.WaitFor(ctx, limits.Pods, func(ctx context.Context) (string, error) {
		list, err := pods.List(ctx, options)
		if err != nil {
			return "", err
		}
		for _, pod := range list.Items {
			if old[pod.UID] {
				return "pod " + pod.Name + " is still there", nil
			}
			if why := kubestatus.NotReady(pod); ready && why != "" {
				return why, nil
			}
		}
		if ready && len(list.Items) < len(old) {
			return fmt.Sprintf("%d of %d new pods are there", len(list.Items), len(old)), nil
		}
		return "", nil
	})
	if err == nil && ready {
		err = c.Settle(ctx)
	}
	return err
}
