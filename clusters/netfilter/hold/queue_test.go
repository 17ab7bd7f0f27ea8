package hold

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// raw is a queue and a chain without the engine.
func (l *lab) raw(maxWaiting uint32, readBuffer int, spec ChainSpec) (*queue, *Chain) {
	l.t.Helper()
	g := NewWithT(l.t)
	spec.Table, spec.Queue = table, 77
	q, err := openQueue(l.ctx, 77, maxWaiting, readBuffer, usualFlags)
	g.Expect(err).NotTo(HaveOccurred())
	c, err := InstallChain(l.ctx, spec)
	g.Expect(err).NotTo(HaveOccurred())
	l.t.Cleanup(func() {
		NewWithT(l.t).Expect(c.Remove()).To(Succeed())
		NewWithT(l.t).Expect(q.Close()).To(Succeed())
	})
	return q, c
}

func dns() ChainSpec {
	return ChainSpec{Hook: Forward, Match: Match{Proto: unix.IPPROTO_UDP, DstPort: dnsPort}}
}

func (l *lab) receive(q *queue, n int) []Packet {
	l.t.Helper()
	NewWithT(l.t).Expect(q.SetReadDeadline(time.Now().Add(limit))).To(Succeed())
	var ps []Packet
	for range n {
		p, err := q.Receive()
		NewWithT(l.t).Expect(err).NotTo(HaveOccurred())
		ps = append(ps, p)
	}
	return ps
}

func TestVerdictsByNumber(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, c := l.raw(maxWaiting, readBuffer, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	for _, text := range []string{"a", "b", "c", "d"} {
		out.send(text, backendA, dnsPort)
	}
	ps := l.receive(q, 4)
	for i, p := range ps {
		g.Expect(p.ID).To(BeEquivalentTo(i + 1))
		g.Expect(p.FlowErr).NotTo(HaveOccurred())
		g.Expect(p.Flow.Src).To(Equal(out.addr()))
		g.Expect(p.Flow.Dst).To(Equal(in.addr()))
		g.Expect(L4(p.Payload)).To(BeEquivalentTo("abcd"[i : i+1]))
	}
	s, err := q.Stats()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s).To(Or(Equal(QueueStats{Kernel: true, Waiting: 4}), BeZero()))
	g.Expect(c.Hits(l.ctx)).To(BeEquivalentTo(4))

	g.Expect(q.accept(4)).To(Succeed())
	g.Expect(in.read()).To(Equal("d"))
	g.Expect(q.accept(3, 1, 2)).To(Succeed())
	g.Expect(in.readN(3)).To(Equal([]string{"c", "a", "b"}))

	g.Expect(q.accept(99)).To(Succeed())
	_, err = q.Receive()
	var refused *VerdictError
	g.Expect(errors.As(err, &refused)).To(BeTrue(), "%v", err)
	g.Expect(refused.ID).To(BeEquivalentTo(99))
	g.Expect(refused).To(MatchError(unix.ENOENT))
}

func TestAMarkIsExcepted(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	spec := dns()
	spec.ExceptMark = 0x52
	_, c := l.raw(maxWaiting, readBuffer, spec)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	marked := l.udp(l.client, clientAddr, 0)
	l.markAtTheRouter(marked.addr().Port(), 0x52)
	out.send("caught", backendA, dnsPort)
	marked.send("marked", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("marked"))
	g.Expect(c.Hits(l.ctx)).To(BeEquivalentTo(1))
}

// markAtTheRouter gives packets from a port a mark before the hold's chain sees them.
func (l *lab) markAtTheRouter(port uint16, mark uint32) {
	l.t.Helper()
	g := NewWithT(l.t)
	conn, err := nftables.New()
	g.Expect(err).NotTo(HaveOccurred())
	tbl := conn.AddTable(&nftables.Table{Name: "marks", Family: nftables.TableFamilyIPv4})
	chain := conn.AddChain(&nftables.Chain{Name: "pre", Table: tbl, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter})
	conn.AddRule(&nftables.Rule{Table: tbl, Chain: chain, Exprs: slices.Concat(nftrule.Protocol(unix.IPPROTO_UDP), nftrule.Ports(nftrule.Source, port, port), []expr.Any{
		&expr.Immediate{Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)}, &expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
	})})
	g.Expect(conn.Flush()).To(Succeed())
	l.t.Cleanup(func() { removeTable(l.t, "marks") })
}

func TestAFullQueuePasses(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, _ := l.raw(1, readBuffer, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	for _, text := range []string{"held", "b", "c"} {
		out.send(text, backendA, dnsPort)
	}
	g.Expect(in.readN(2)).To(Equal([]string{"b", "c"}))
	p := l.receive(q, 1)[0]
	g.Expect(q.accept(p.ID)).To(Succeed())
	g.Expect(in.read()).To(Equal("held"))
}

// With a receive buffer that is too small, packets pass unseen (fail-open), and it is counted.
func TestAnOverrunIsSurvivedAndCounted(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, _ := l.raw(maxWaiting, 1, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	const n = 50
	for range n {
		out.send("x", backendA, dnsPort)
	}
	passed := len(in.readN(1)) // at least one found the buffer full
	g.Expect(q.SetReadDeadline(time.Now().Add(limit))).To(Succeed())
	// Read what is there; then one more packet gives the gap in the numbers away.
	for {
		g.Expect(q.SetReadDeadline(time.Now().Add(100 * time.Millisecond))).To(Succeed())
		p, err := q.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(q.accept(p.ID)).To(Succeed())
	}
	out.send("last", backendA, dnsPort)
	p := l.receive(q, 1)[0]
	g.Expect(q.accept(p.ID)).To(Succeed())
	g.Expect(append(in.readN(n-passed), in.readN(1)...)).To(ContainElement("last"), "none is lost")
	s, err := q.Stats()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Missed).To(BeNumerically(">", 0))
	g.Expect(s.Dropped).To(BeZero())
}

func TestCloseUnblocksAndIsIdempotent(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, err := openQueue(l.ctx, 77, maxWaiting, readBuffer, usualFlags)
	g.Expect(err).NotTo(HaveOccurred())
	waiting, got := make(chan struct{}), make(chan error)
	go func() {
		close(waiting)
		_, err := q.Receive()
		got <- err
	}()
	<-waiting
	g.Expect(q.Close()).To(Succeed())
	g.Eventually(got).WithTimeout(limit).Should(Receive(MatchError(net.ErrClosed)))
	g.Expect(q.Close()).To(Succeed())
	again, err := openQueue(l.ctx, 77, maxWaiting, readBuffer, usualFlags)
	g.Expect(err).NotTo(HaveOccurred(), "the number is free again")
	g.Expect(again.Close()).To(Succeed())
}

func TestEachWayToTheQueue(t *testing.T) {
	works := map[Via]bool{}
	for _, via := range []Via{ViaXt, ViaNft} {
		t.Run(string(via), func(t *testing.T) {
			g := NewWithT(t)
			l := newLab(t)
			spec := udpSpec(&Pairs{MaxWait: time.Minute})
			spec.Via = via
			h, err := Start(l.ctx, spec)
			if err != nil {
				g.Expect(err).To(MatchError(ContainSubstring(string(via))))
				g.Expect(tables(t)).To(BeEmpty())
				t.Skipf("the kernel does not have it: %v", err)
			}
			works[via] = true
			g.Expect(h.Via()).To(Equal(via))
			out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
			out.send("a", backendA, dnsPort)
			l.untilHeld(h, 1)
			out.send("b", backendA, dnsPort)
			g.Expect(in.readN(2)).To(Equal([]string{"a", "b"}))
			l.until(h, "a pair", func(s Stats) bool { return s.Groups == 1 && s.Matched == 2 })
			g.Expect(h.Close()).To(Succeed())
		})
	}
	t.Run("chosen", func(t *testing.T) {
		l := newLab(t)
		want := ViaXt
		if works[ViaNft] {
			want = ViaNft
		}
		NewWithT(t).Expect(l.start(udpSpec(Pass{})).Via()).To(Equal(want))
	})
}
