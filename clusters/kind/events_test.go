package kind

import (
	"context"
	"testing"

	"github.com/relapse-k8s/relapse/clusters/logs"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

func TestEventsAreToldOnce(t *testing.T) {
	g := NewWithT(t)
	event := func(name, version string) *corev1.Event {
		return &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, ResourceVersion: version}, Reason: name, InvolvedObject: corev1.ObjectReference{Kind: "Node", Name: "x-worker"}}
	}
	client := fake.NewClientset(event("Former", "1"))
	k := &Kind{cluster: &provision.Cluster{Client: client}}
	c := &cluster{kind: k, part: &part{number: 1, namespace: "lane-1", nodes: []provision.Node{{Container: "x-worker"}}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard, ended := make(chan string, 9), make(chan error, 1)
	go func() { ended <- c.followEvents(ctx, func(l logs.Line) { heard <- l.Event }) }()
	g.Eventually(func() int {
		for _, a := range client.Actions() {
			if a.Matches("watch", "events") {
				return 1
			}
		}
		return 0
	}).Should(Equal(1))
	events := client.CoreV1().Events("default")
	for _, act := range []func() (*corev1.Event, error){
		func() (*corev1.Event, error) { return events.Create(ctx, event("New", "2"), metav1.CreateOptions{}) },
		func() (*corev1.Event, error) { return events.Update(ctx, event("New", "2"), metav1.UpdateOptions{}) }, // as after a gap
		func() (*corev1.Event, error) { return events.Update(ctx, event("New", "3"), metav1.UpdateOptions{}) },
		func() (*corev1.Event, error) {
			other := event("Other", "4")
			other.InvolvedObject = corev1.ObjectReference{Kind: "Pod", Namespace: "lane-2", Name: "web"}
			return events.Create(ctx, other, metav1.CreateOptions{})
		},
		func() (*corev1.Event, error) { return events.Create(ctx, event("Last", "5"), metav1.CreateOptions{}) },
	} {
		_, err := act()
		g.Expect(err).NotTo(HaveOccurred())
	}
	for _, want := range []string{"New", "New", "Last"} {
		var next string
		g.Eventually(heard).Should(Receive(&next))
		g.Expect(next).To(Equal(want))
	}
	cancel()
	g.Eventually(ended).Should(Receive())
}
