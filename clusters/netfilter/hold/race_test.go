package hold

import (
	"context"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

var serviceIP = netip.MustParseAddr("10.96.0.10")

// service is what kube-proxy makes of a Service with two endpoints, taken in turn so that a test knows which comes first.
func (l *lab) service() {
	l.t.Helper()
	g := NewWithT(l.t)
	conn, err := nftables.New()
	g.Expect(err).NotTo(HaveOccurred())
	tbl := conn.CreateTable(&nftables.Table{Name: "service", Family: nftables.TableFamilyIPv4})
	chain := conn.AddChain(&nftables.Chain{Name: "dnat", Table: tbl, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest})
	for i, backend := range []netip.Addr{backendA, backendB} {
		es := nftrule.Address(nftrule.Destination, expr.CmpOpEq, netip.PrefixFrom(serviceIP, 32))
		if i == 0 {
			es = append(es, &expr.Numgen{Register: 1, Modulus: 2, Type: unix.NFT_NG_INCREMENTAL},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(0)})
		}
		conn.AddRule(&nftables.Rule{Table: tbl, Chain: chain, Exprs: append(es,
			&expr.Immediate{Register: 1, Data: backend.AsSlice()},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1})})
	}
	g.Expect(conn.Flush()).To(Succeed())
	l.t.Cleanup(func() { removeTable(l.t, "service") })
}

func (l *lab) counters() ctnetlink.Stats {
	l.t.Helper()
	s, err := l.ct.Stats(l.ctx)
	NewWithT(l.t).Expect(err).NotTo(HaveOccurred())
	return s
}

func (l *lab) countedSince(before ctnetlink.Stats) ctnetlink.Stats {
	l.t.Helper()
	counted := l.counters()
	for key := range counted {
		counted[key] -= before[key]
	}
	return counted
}

// The A/AAAA pair: two packets of one socket, sent to two backends, released together.
func TestPairClashIsRepairedByTheKernel(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	l.service()
	if _, has := l.counters()[ctnetlink.ClashResolve]; !has {
		t.Skip("this kernel has no clash_resolve counter (before 5.10)")
	}
	var backends []netip.AddrPort
	h := l.start(udpSpec(&Pairs{MaxWait: time.Minute, Before: func(_ context.Context, pair []Packet) error {
		backends = []netip.AddrPort{pair[0].Flow.Dst, pair[1].Flow.Dst}
		return nil
	}}))
	out, a, b := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort), l.udp(l.server, backendB, dnsPort)
	before := l.counters()
	out.send("one", serviceIP, dnsPort)
	out.send("two", serviceIP, dnsPort)
	got := append(a.readN(1), b.readN(1)...)
	g.Expect(got).To(ConsistOf("one", "two"), "both arrive, one at each backend")
	d := l.countedSince(before)
	t.Log(d)
	g.Expect(d).To(And(HaveKeyWithValue(ctnetlink.ClashResolve, uint64(1)), HaveKeyWithValue(ctnetlink.InsertFailed, uint64(0)), HaveKeyWithValue(ctnetlink.Dropped, uint64(0))))
	g.Expect(h.Close()).To(Succeed())
	g.Expect(backends).To(ConsistOf(a.addr(), b.addr()))

	a.reply("answer A")
	b.reply("answer B")
	g.Expect(out.readN(2)).To(ConsistOf("answer A", "answer B"))
	g.Expect(out.last.Addr()).To(Equal(serviceIP))
}

// forced holds the pair and, just before the release, takes the loser's reply tuple by an entry of our own.
func (l *lab) forced(hook Hook, priority int32, natDone bool) (h *Hold, loser *Flow) {
	l.t.Helper()
	loser = new(Flow)
	spec := udpSpec(&Pairs{MaxWait: time.Minute, OncePerFlow: true, Before: func(ctx context.Context, pair []Packet) error {
		*loser = pair[1].Flow
		return l.ct.Create(ctx, ctnetlink.Entry{
			Proto: loser.Proto, Timeout: 2 * time.Second, Mark: forcedMark, Status: ctnetlink.Confirmed, NATDone: natDone,
			Orig:  ctnetlink.Tuple{Src: netip.MustParseAddrPort("192.0.2.1:1"), Dst: netip.MustParseAddrPort("192.0.2.2:2")},
			Reply: ctnetlink.Tuple{Src: loser.Dst, Dst: loser.Src},
		})
	}})
	spec.Hook, spec.Priority = hook, priority
	return l.start(spec), loser
}

const forcedMark = 0x7e1a

// The same, forced: an entry whose reply tuple is the loser's leaves the kernel nothing to repair. The place is behind
// SNAT (priority 100): see the next test.
func TestForcedPairClashIsDroppedByTheKernel(t *testing.T) {
	for name, natDone := range map[string]bool{"plain entry": false, "entry that NAT has dealt with": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			l := newLab(t)
			l.service()
			out, a, b := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort), l.udp(l.server, backendB, dnsPort)
			before := l.counters()
			h, loser := l.forced(Postrouting, 300, natDone)
			out.send("winner", serviceIP, dnsPort)
			out.send("loser", serviceIP, dnsPort)
			s := l.until(h, "released", func(s Stats) bool { return s.Groups == 1 })
			g.Expect(s.Errors).To(BeZero(), s.LastError)
			d := l.countedSince(before)
			t.Log(d)
			g.Expect(d).To(And(HaveKeyWithValue(ctnetlink.InsertFailed, uint64(1)), HaveKeyWithValue(ctnetlink.Dropped, uint64(1))))
			g.Expect(loser.Dst).To(Equal(b.addr()))
			g.Expect(a.read()).To(Equal("winner"))
			_, err := b.readFor(200 * time.Millisecond)
			g.Expect(err).To(MatchError(os.ErrDeadlineExceeded), "the loser was dropped")
			g.Expect(l.ct.DeleteByMark(l.ctx, forcedMark, ^uint32(0))).To(Succeed())

			out.send("retransmission", serviceIP, dnsPort)
			g.Expect(a.read()).To(Equal("retransmission"), "on the winner's entry, and not held")
		})
	}
}

// Held in FORWARD the forced clash does not happen: the packets have not been through SNAT, and there even the null binding
// of a packet that no rule translates looks for a free tuple (nf_nat_used_tuple) and finds it: another source port.
func TestForcedPairClashInForwardIsEvadedBySNAT(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	l.service()
	out, b := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendB, dnsPort)
	before := l.counters()
	l.forced(Forward, 0, true)
	out.send("winner", serviceIP, dnsPort)
	out.send("loser", serviceIP, dnsPort)
	g.Expect(b.read()).To(Equal("loser"))
	g.Expect(b.last.Port()).NotTo(Equal(out.addr().Port()), "its source port was changed")
	d := l.countedSince(before)
	t.Log(d)
	g.Expect(d).To(And(HaveKeyWithValue(ctnetlink.InsertFailed, uint64(0)), HaveKeyWithValue(ctnetlink.Dropped, uint64(0))))
}
