package cni

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
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

func TestFind(t *testing.T) {
	g := NewWithT(t)
	_, err := Find("calico")
	g.Expect(err).To(MatchError(`invalid --cni "calico": must be one of kindnet, none, plain`))
}
