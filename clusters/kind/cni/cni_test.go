package cni

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func node(name, pods, address string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.NodeSpec{PodCIDR: pods},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address}}},
	}
}

// calls are what was run on each node.
type calls struct {
	mu   sync.Mutex
	said map[string]string
}

func (c *calls) run(_ context.Context, node, input string, argv ...string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said[node] += strings.Join(argv, " ") + "\n" + input
	return "", nil
}

func TestPlain(t *testing.T) {
	g := NewWithT(t)
	c := &calls{said: map[string]string{}}
	on := Nodes{
		Client: fake.NewClientset(node("a", "10.244.0.0/24", "172.18.0.2"), node("b", "10.244.1.0/24", "172.18.0.3")),
		Names:  []string{"a", "b"}, PodCIDR: "10.244.0.0/16", Run: c.run,
	}
	g.Expect(Plugins["plain"].Install(t.Context(), on)).To(Succeed())
	g.Expect(c.said["a"]).To(ContainSubstring("ip route replace 10.244.1.0/24 via 172.18.0.3\n"))
	g.Expect(c.said["a"]).NotTo(ContainSubstring("ip route replace 10.244.0.0/24"))
	g.Expect(c.said["a"]).To(ContainSubstring("ip saddr 10.244.0.0/16 ip daddr != 10.244.0.0/16 masquerade fully-random"))
	g.Expect(c.said["b"]).To(ContainSubstring("ip route replace 10.244.0.0/24 via 172.18.0.2\n"))
	g.Expect(c.said["b"]).To(ContainSubstring(plainFile))
	var config map[string]any
	g.Expect(json.Unmarshal([]byte(plainConfig("10.244.1.0/24")), &config)).To(Succeed())
	g.Expect(c.said["b"]).To(ContainSubstring(plainConfig("10.244.1.0/24")))

	on.Client = fake.NewClientset(node("a", "10.244.0.0/24; reboot", "172.18.0.2"), node("b", "10.244.1.0/24", "172.18.0.3"))
	g.Expect(Plugins["plain"].Install(t.Context(), on)).NotTo(Succeed())
}

func TestPlainWaitsForPodAddresses(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	err := Plugins["plain"].Install(ctx, Nodes{Client: fake.NewClientset(node("a", "", "172.18.0.2")), Names: []string{"a", "b"}})
	g.Expect(err).To(MatchError(ContainSubstring("no pod addresses or no address of their own for nodes a, b")))
}

// flannelOn is a cluster whose DaemonSet runs on so many nodes.
func flannelOn(ready int32, pods ...runtime.Object) Nodes {
	client := fake.NewClientset(pods...)
	client.PrependReactor("get", "daemonsets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &appsv1.DaemonSet{Status: appsv1.DaemonSetStatus{NumberReady: ready}}, nil
	})
	return Nodes{Client: client, Names: []string{"a", "b"}, PodCIDR: "10.244.0.0/16", Image: "relapse.dev/flannel:sha-1", Run: (&calls{said: map[string]string{}}).run}
}

func TestFlannel(t *testing.T) {
	g := NewWithT(t)
	on := flannelOn(2)
	g.Expect(Plugins["flannel"].Install(t.Context(), on)).To(Succeed())
	maps, err := on.Client.CoreV1().ConfigMaps("kube-flannel").List(t.Context(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(maps.Items[0].Data["net-conf.json"]).To(MatchJSON(`{"Network": "10.244.0.0/16", "EnableNFTables": true, "Backend": {"Type": "vxlan"}}`))
	sets, err := on.Client.AppsV1().DaemonSets("kube-flannel").List(t.Context(), metav1.ListOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	pod := sets.Items[0].Spec.Template.Spec
	g.Expect(pod.HostNetwork).To(BeTrue())
	for _, c := range append(pod.InitContainers, pod.Containers...) {
		g.Expect(c.Image).To(Equal("relapse.dev/flannel:sha-1"))
		g.Expect(c.ImagePullPolicy).To(Equal(corev1.PullNever))
	}
	g.Expect(Plugins["flannel"].Policies).To(BeFalse())
}

func TestFlannelThatDoesNotStart(t *testing.T) {
	g := NewWithT(t)
	waiting := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "kube-flannel-x", Namespace: "kube-flannel"},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "kube-flannel", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		}}},
	}
	missing, err := missingFlannel(t.Context(), flannelOn(1, waiting))
	g.Expect(missing, err).To(Equal("flannel runs on 1 of 2 nodes, and has written /run/flannel/subnet.env on 2: pod kube-flannel-x: container kube-flannel is waiting: CrashLoopBackOff"))
}

func TestFlannelThatIsNotBuilt(t *testing.T) {
	_, err := Plugins["flannel"].Own(t.Context(), t.TempDir())
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("make flannel builds it")))
}

func TestFind(t *testing.T) {
	g := NewWithT(t)
	_, err := Find("weave")
	g.Expect(err).To(MatchError(`invalid --cni "weave": must be one of calico, cilium, flannel, kindnet, none, plain`))
}
