package kind

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

// workers are the nodes of a cluster with a control plane.
func workers(n int) (nodes []provision.Node) {
	for i := range n {
		nodes = append(nodes, provision.Node{Name: "node-" + string(rune('1'+i)), Container: "x-worker" + string(rune('1'+i)), Role: "worker"})
	}
	return append(nodes, provision.Node{Name: "node-last", Container: "x-control-plane", Role: "control-plane"})
}

func TestNodesAreDividedAmongLanes(t *testing.T) {
	g := NewWithT(t)
	whole, all := parts(workers(5), 2)
	g.Expect(whole.nodes).To(HaveLen(6))
	g.Expect(whole.namespace).To(Equal("default"))
	g.Expect(all).To(HaveLen(2), "the fifth worker is left over")
	g.Expect(all[1].namespace).To(Equal("lane-2"))
	node, ok := all[1].node("node/node-2")
	g.Expect(ok).To(BeTrue())
	g.Expect(node.Container).To(Equal("x-worker4"))
	_, ok = all[1].on("x-control-plane")
	g.Expect(ok).To(BeFalse(), "a fault there would be one for all lanes")

	_, all = parts(workers(3), 2)
	g.Expect(all).To(BeEmpty(), "one lane at a time can have the control plane too")
	_, all = parts(workers(0), 1)
	g.Expect(all).To(BeEmpty())
	g.Expect([]int{Nodes(1, 2), Nodes(4, 2), Nodes(4, 1), Nodes(100, 2)}).To(Equal([]int{2, 9, 5, provision.MaxNodes}))
}

func TestAddressesAndNamesOfAPart(t *testing.T) {
	g := NewWithT(t)
	whole, all := parts(workers(4), 2)
	const text = `{"to": "10.96.0.80:80", "expect": ["10.96.0.1", "10.96.0.254"], "dns": "10.96.0.10/32", "names": "web.default.svc.cluster.local kubernetes.default.svc",
		"selector": {"kubernetes.io/metadata.name": "default"}, "other": "10.96.0.8000 110.96.0.80 10.96.1.80", "port": 30080, "at": "node/node-1:30080", "none": "30000ms 130080"}`
	g.Expect(string(whole.Adapt([]byte(text)))).To(Equal(text))
	adapted := string(all[1].Adapt([]byte(text)))
	g.Expect(adapted).To(MatchJSON(`{"to": "10.96.2.80:80", "expect": ["10.96.0.1", "10.96.2.254"], "dns": "10.96.0.10/32",
		"names": "web.lane-2.svc.cluster.local kubernetes.default.svc", "selector": {"kubernetes.io/metadata.name": "lane-2"},
		"other": "10.96.0.8000 110.96.0.80 10.96.1.80", "port": 30280, "at": "node/node-1:30280", "none": "30000ms 130080"}`))
	g.Expect(string(all[1].Adapt([]byte("kubernetes.io/metadata.name: default\n")))).To(Equal("kubernetes.io/metadata.name: lane-2\n"))
	g.Expect(string(all[1].Adapt([]byte(adapted)))).To(Equal(adapted), "once is enough")
	g.Expect(whole.Unique("a") + " " + all[1].Unique("a")).To(Equal("a a-2"))
	g.Expect(all[1].local("") + " " + all[1].local("default") + " " + all[1].local("kube-system")).To(Equal("lane-2 lane-2 kube-system"))
}

func TestGatewaysOfParts(t *testing.T) {
	g := NewWithT(t)
	network := netip.MustParsePrefix("172.18.0.0/16")
	g.Expect(gateway(network, 0).String()).To(Equal("172.18.255.254"))
	g.Expect(gateway(network, 3).String()).To(Equal("172.18.255.251"))
	k := New(Options{})
	k.all, k.parts = parts(workers(4), 2)
	g.Expect(k.gateways(k.parts[1])).To(Equal([]int{2}))
	g.Expect(k.gateways(k.all)).To(Equal([]int{0, 1, 2}), "it stands for those of all nodes")
}

func TestTakingParts(t *testing.T) {
	g := NewWithT(t)
	k := New(Options{})
	k.all, k.parts = parts(workers(4), 2)
	never := func(context.Context) error { return errors.New("no need to replace the cluster") }
	take := func(whole bool, replace func(context.Context) error) <-chan *part {
		taken := make(chan *part, 1)
		go func() {
			p, err := k.take(t.Context(), whole, replace)
			if err != nil {
				t.Error(err)
			}
			taken <- p
		}()
		return taken
	}
	give := func(p *part, dirty string) {
		g.Expect(k.lock.Acquire(t.Context(), 1)).To(Succeed())
		defer k.lock.Release(1)
		p.dirty = dirty
		k.give(p)
	}
	first, second := <-take(false, never), <-take(false, never)
	g.Expect([]int{first.number, second.number}).To(Equal([]int{1, 2}))
	third, whole := take(false, never), take(true, never)
	g.Consistently(third).ShouldNot(Receive())
	give(first, "")
	var got *part
	g.Eventually(third).Should(Receive(&got))
	g.Expect(got).To(BeIdenticalTo(first))
	give(got, "")
	g.Consistently(whole).ShouldNot(Receive(), "one lane still lives")
	give(second, "")
	g.Eventually(whole).Should(Receive(&got))
	g.Expect(got).To(BeIdenticalTo(k.all))
	other := take(false, never)
	g.Consistently(other).ShouldNot(Receive())
	give(got, "")
	g.Eventually(other).Should(Receive(&got))

	give(got, "a link is left")
	g.Expect(k.spoilt()).To(Equal("a link is left"))
	last := <-take(false, never)
	g.Expect(last.dirty).To(BeEmpty(), "the other part can still be used")
	replaced := take(false, func(context.Context) error {
		k.all, k.parts = parts(workers(2), 1)
		return nil
	})
	g.Consistently(replaced).ShouldNot(Receive(), "a lane lives on the cluster")
	give(last, "its agent is gone")
	g.Eventually(replaced).Should(Receive(&got))
	g.Expect(got.nodes).To(HaveLen(1))

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, err := k.take(ctx, true, never)
	g.Expect(err).To(MatchError("enough"))
}
