package kubestatus

import (
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPods(t *testing.T) {
	running := corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	waiting := corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImageNeverPull", Message: "not there"}}}
	ended := corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}
	condition := func(of corev1.PodConditionType, status corev1.ConditionStatus, reason, message string) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: of, Status: status, Reason: reason, Message: message}}
	}
	unready := condition(corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady", "containers with unready status: [main]")
	for name, row := range map[string]struct {
		status               corev1.PodStatus
		deleted              bool
		notRunning, notReady string
	}{
		"ready": {status: corev1.PodStatus{
			Phase: corev1.PodRunning, PodIP: "10.244.0.3", ContainerStatuses: []corev1.ContainerStatus{running}, Conditions: condition(corev1.PodReady, corev1.ConditionTrue, "", ""),
		}},
		"running": {
			status:   corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.0.3", ContainerStatuses: []corev1.ContainerStatus{running}, Conditions: unready},
			notReady: "pod web is not ready: ContainersNotReady: containers with unready status: [main]",
		},
		"going": {
			status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: condition(corev1.PodReady, corev1.ConditionTrue, "", "")}, deleted: true,
			notRunning: "pod web is being deleted", notReady: "pod web is being deleted",
		},
		"waiting": {
			status:     corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{waiting}, Conditions: unready},
			notRunning: "pod web: container main is waiting: ErrImageNeverPull: not there", notReady: "pod web: container main is waiting: ErrImageNeverPull: not there",
		},
		"ended": {
			status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.244.0.3", ContainerStatuses: []corev1.ContainerStatus{ended}},
			notRunning: "pod web: container main exited with status 3", notReady: "pod web: container main exited with status 3",
		},
		"not scheduled": {
			status:     corev1.PodStatus{Phase: corev1.PodPending, Conditions: condition(corev1.PodScheduled, corev1.ConditionFalse, "Unschedulable", "0/2 nodes are available")},
			notRunning: "pod web is not scheduled: 0/2 nodes are available", notReady: "pod web is not scheduled: 0/2 nodes are available",
		},
		"no address": {
			status:     corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{running}},
			notRunning: "pod web is Running", notReady: "pod web is Running",
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: row.status}
			if row.deleted {
				pod.DeletionTimestamp = &metav1.Time{}
			}
			g.Expect(NotRunning(pod)).To(Equal(row.notRunning))
			g.Expect(NotReady(pod)).To(Equal(row.notReady))
		})
	}
}

func TestNodes(t *testing.T) {
	g := NewWithT(t)
	node := corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	g.Expect(NodeReady(node).Status).To(Equal(corev1.ConditionUnknown))
	g.Expect(Node(node)).To(Equal("node a: Ready is Unknown: the kubelet has not reported it"))
	node.Status.Conditions = []corev1.NodeCondition{
		{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
		{Type: corev1.NodeReady, Status: corev1.ConditionFalse, Reason: "KubeletNotReady", Message: "cni plugin not initialized"},
	}
	g.Expect(Node(node)).To(Equal("node a: Ready is False: KubeletNotReady: cni plugin not initialized"))
}
