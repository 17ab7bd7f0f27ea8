package hold

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

// raw is a queue and a chain without the engine.
func (l *lab) raw(opts QueueOptions, spec ChainSpec) (*Queue, *Chain) {
	l.t.Helper()
	g := NewWithT(l.t)
	spec.Table, spec.Queue = table, 77
	q, err := Open(l.ctx, 77, opts)
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

func (l *lab) receive(q *Queue, n int) []Packet {
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
	q, c := l.raw(QueueOptions{}, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	for _, text := range []string{"a", "b", "c", "d"} {
		out.send(text, backendA, dnsPort)
	}
	ps := l.receive(q, 4)
	for i, p := range ps {
		g.Expect(p.ID).To(BeEquivalentTo(i + 1))
		g.Expect(p.Hook).To(Equal(Forward))
		g.Expect(p.HWProto).To(BeEquivalentTo(0x0800))
		g.Expect(p.InDev).NotTo(BeZero())
		g.Expect(p.OutDev).NotTo(BeZero())
		g.Expect(p.FlowErr).NotTo(HaveOccurred())
		g.Expect(p.Flow.Src).To(Equal(out.addr()))
		g.Expect(p.Flow.Dst).To(Equal(in.addr()))
		g.Expect(L4(p.Payload)).To(BeEquivalentTo("abcd"[i : i+1]))
	}
	s, err := q.Stats()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s).To(Or(Equal(QueueStats{Kernel: true, Waiting: 4}), BeZero()))
	g.Expect(c.Hits(l.ctx)).To(BeEquivalentTo(4))

	g.Expect(q.Verdict(4, CodeAccept)).To(Succeed())
	g.Expect(in.read()).To(Equal("d"))
	g.Expect(q.Verdict(2, CodeDrop)).To(Succeed())
	g.Expect(q.Send(Verdict{ID: 3, Code: CodeAccept}, Verdict{ID: 1, Code: CodeAccept})).To(Succeed())
	g.Expect(in.readN(2)).To(Equal([]string{"c", "a"}))

	g.Expect(q.Verdict(99, CodeAccept)).To(Succeed())
	_, err = q.Receive()
	var refused *VerdictError
	g.Expect(errors.As(err, &refused)).To(BeTrue(), "%v", err)
	g.Expect(refused.ID).To(BeEquivalentTo(99))
	g.Expect(refused).To(MatchError(unix.ENOENT))
}

func TestModifiedPayload(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, _ := l.raw(QueueOptions{}, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("short", backendA, dnsPort)
	p := l.receive(q, 1)[0]
	changed := slices.Concat(p.Payload[:28], []byte("quite a bit longer"))
	g.Expect(FixChecksums(changed)).To(Succeed())
	g.Expect(q.VerdictPayload(p.ID, CodeAccept, changed)).To(Succeed())
	g.Expect(in.read()).To(Equal("quite a bit longer"))
}

func TestMarkAndRepeat(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	spec := dns()
	spec.Match.Exclude = Mark{0x10, 0xf0}
	q, c := l.raw(QueueOptions{}, spec)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("a", backendA, dnsPort)
	p := l.receive(q, 1)[0]
	g.Expect(q.VerdictMark(p.ID, CodeRepeat, 0x02)).To(Succeed())
	p = l.receive(q, 1)[0]
	g.Expect(p.Mark).To(BeEquivalentTo(2), "it comes back, with the mark")
	g.Expect(q.VerdictMark(p.ID, CodeRepeat, 0x12)).To(Succeed())
	g.Expect(in.read()).To(Equal("a"), "the mark is excluded")
	g.Expect(c.Hits(l.ctx)).To(BeEquivalentTo(2))
}

func TestAFullQueuePasses(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, _ := l.raw(QueueOptions{MaxLen: 1}, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	for _, text := range []string{"held", "b", "c"} {
		out.send(text, backendA, dnsPort)
	}
	g.Expect(in.readN(2)).To(Equal([]string{"b", "c"}))
	p := l.receive(q, 1)[0]
	g.Expect(q.Verdict(p.ID, CodeAccept)).To(Succeed())
	g.Expect(in.read()).To(Equal("held"))
}

func TestAFullQueueDropsWhenAsked(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, _ := l.raw(QueueOptions{MaxLen: 1, DropWhenFull: true}, dns())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	for _, text := range []string{"held", "b", "c"} {
		out.send(text, backendA, dnsPort)
	}
	if s, err := q.Stats(); err == nil && !s.Kernel {
		t.Skip("the kernel's queue counters cannot be read here (not the first user namespace)")
	}
	g.Eventually(func() (uint64, error) { s, err := q.Stats(); return s.Dropped, err }).WithTimeout(limit).Should(BeEquivalentTo(2))
	p := l.receive(q, 1)[0]
	g.Expect(q.Verdict(p.ID, CodeAccept)).To(Succeed())
	g.Expect(in.read()).To(Equal("held"))
}

// With a receive buffer that is too small, packets pass unseen (fail-open), and it is counted.
func TestAnOverrunIsSurvivedAndCounted(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, _ := l.raw(QueueOptions{ReadBuffer: 1}, dns())
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
		g.Expect(q.Verdict(p.ID, CodeAccept)).To(Succeed())
	}
	out.send("last", backendA, dnsPort)
	p := l.receive(q, 1)[0]
	g.Expect(q.Verdict(p.ID, CodeAccept)).To(Succeed())
	g.Expect(append(in.readN(n-passed), in.readN(1)...)).To(ContainElement("last"), "none is lost")
	s, err := q.Stats()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.NoBufs).To(BeNumerically(">", 0))
	g.Expect(s.Missed).To(BeNumerically(">", 0))
	g.Expect(s.Dropped).To(BeZero())
}

func TestCloseUnblocksAndIsIdempotent(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	q, err := Open(l.ctx, 77, QueueOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	waiting, got := make(chan struct{}), make(chan error)
	go func() {
		close(waiting)
		_, err := q.Receive()
		got <- err
	}()
	<-waiting
	g.Expect(q.Close()).To(Succeed())
	g.Eventually(got).WithTimeout(limit).Should(Receive(MatchError(ErrClosed)))
	g.Expect(q.Close()).To(Succeed())
	again, err := Open(l.ctx, 77, QueueOptions{})
	g.Expect(err).NotTo(HaveOccurred(), "the number is free again")
	g.Expect(again.Close()).To(Succeed())
}

func TestEachWayToTheQueue(t *testing.T) {
	works := map[Via]bool{}
	for _, via := range []Via{ViaXt, ViaNft} {
		t.Run(string(via), func(t *testing.T) {
			g := NewWithT(t)
			l := newLab(t)
			spec := udpSpec(&Pairs{MaxWait: time.Minute, Order: Reverse})
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
			out.send("b", backendA, dnsPort)
			g.Expect(in.readN(2)).To(Equal([]string{"b", "a"}))
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
