// Package kubestatus says what is wrong with pods and nodes, quoting their status.
package kubestatus

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// NotRunning says why a pod does not run, or nothing.
func NotRunning(pod corev1.Pod) string {
	if pod.DeletionTimestamp != nil {
		return fmt.Sprintf("pod %s is being deleted", pod.Name)
	}
	for _, c := range pod.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			return words(fmt.Sprintf("pod %s: container %s is waiting", pod.Name, c.Name), c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil:
			return words(fmt.Sprintf("pod %s: container %s exited with status %d", pod.Name, c.Name, c.State.Terminated.ExitCode), c.State.Terminated.Message)
		}
	}
	if c := podCondition(pod, corev1.PodScheduled); c.Status == corev1.ConditionFalse {
		return words(fmt.Sprintf("pod %s is not scheduled", pod.Name), c.Message)
	}
	if pod.Status.Phase != corev1.PodRunning || pod.Status.PodIP == "" || len(pod.Status.ContainerStatuses) == 0 {
		return fmt.Sprintf("pod %s is %s", pod.Name, pod.Status.Phase)
	}
	return ""
}

// NotReady says why a pod is not ready, or nothing.
func NotReady(pod corev1.Pod) string {
	ready := podCondition(pod, corev1.PodReady)
	if ready.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
		return ""
	}
	if why := NotRunning(pod); why != "" {
		return why
	}
	return words(fmt.Sprintf("pod %s is not ready", pod.Name), ready.Reason, ready.Message)
}

// Trouble says in what way the first pod of a selector that is not ready is not, after a colon, or nothing.
func Trouble(ctx context.Context, client kubernetes.Interface, namespace, selector string) (string, error) {
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return "", err
	}
	for _, pod := range pods.Items {
		if why := NotReady(pod); why != "" {
			return ": " + why, nil
		}
	}
	return "", nil
}

// Pending says why a pod has not started, in a word and in the words of its status.
func Pending(pod corev1.Pod) (reason, message string) {
	for _, c := range pod.Status.ContainerStatuses {
		if c.State.Waiting != nil {
			return c.State.Waiting.Reason, c.State.Waiting.Message
		}
	}
	scheduled := podCondition(pod, corev1.PodScheduled)
	return scheduled.Reason, scheduled.Message
}

func podCondition(pod corev1.Pod, of corev1.PodConditionType) (found corev1.PodCondition) {
	if i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == of }); i >= 0 {
		return pod.Status.Conditions[i]
	}
	return found
}

// NodeReady is a node's condition Ready. Its status is Unknown until the kubelet has reported it.
func NodeReady(node corev1.Node) corev1.NodeCondition {
	if i := slices.IndexFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady }); i >= 0 {
		return node.Status.Conditions[i]
	}
	return corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Message: "the kubelet has not reported it"}
}

// Node returns the status of a node's condition Ready, and the reason.
func Node(node corev1.Node) string {
	ready := NodeReady(node)
	return words(fmt.Sprintf("node %s: Ready is %s", node.Name, ready.Status), ready.Reason, ready.Message)
}

// words joins its arguments with colons.
func words(all ...string) string {
	return strings.Join(slices.DeleteFunc(all, func(s string) bool { return s == "" }), ": ")
}
