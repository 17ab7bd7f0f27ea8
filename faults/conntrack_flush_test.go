package faults

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

func TestFlushPutsBackWhatHasNoNewEntry(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := NewWithT(t)
	table, err := ctnetlink.Open()
	g.Expect(err).NotTo(HaveOccurred())
	defer table.Close()
	flow := func(client, pod string) ctnetlink.Entry {
		return ctnetlink.Entry{
			Proto: unix.IPPROTO_UDP, Timeout: 100 * time.Second, Status: ctnetlink.Established, DNAT: netip.MustParseAddrPort(pod),
			Orig: ctnetlink.Tuple{Src: netip.MustParseAddrPort(client), Dst: netip.MustParseAddrPort("10.96.0.125:8125")},
		}
	}
	replies := func() (all []string) {
		entries, err := table.List(t.Context(), ctnetlink.Filter{DstPort: 8125})
		g.Expect(err).NotTo(HaveOccurred())
		for _, e := range entries {
			all = append(all, e.Reply.Src.String()+" > "+e.Reply.Dst.String())
		}
		return all
	}
	g.Expect(table.Create(t.Context(), flow("10.244.1.2:1000", "10.244.2.2:8125"))).To(Succeed())
	g.Expect(table.Create(t.Context(), flow("10.244.1.2:1001", "10.244.2.2:8125"))).To(Succeed())

	change := &ConntrackFlush{Protocol: "udp", Port: 8125, PutBack: true}
	scope := (&undo.Stack{}).Begin("flush")
	g.Expect(change.Apply(t.Context(), &Namespace{Scope: scope})).To(Succeed())
	g.Expect(replies()).To(BeEmpty())
	g.Expect(change.Readings(t.Context())).To(HaveKeyWithValue("deleted", 2.0))

	g.Expect(table.Create(t.Context(), flow("10.244.1.2:1001", "10.244.2.9:8125"))).To(Succeed(), "a flow that went on")
	g.Expect(scope.Undo(t.Context())).To(Succeed())
	g.Expect(replies()).To(ConsistOf("10.244.2.2:8125 > 10.244.1.2:1000", "10.244.2.9:8125 > 10.244.1.2:1001"))
}
