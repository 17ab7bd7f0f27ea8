package hold

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestAPairIsReleasedInTheOrderOfArrival(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	var held []string
	var arrived error
	h := l.start(udpSpec(&Pairs{MaxWait: time.Minute, Before: func(_ context.Context, pair []Packet) error {
		for _, p := range pair {
			text, err := L4(p.Payload)
			if err != nil {
				return err
			}
			held = append(held, string(text))
		}
		_, arrived = in.readFor(100 * time.Millisecond)
		return nil
	}}))
	out.send("a", backendA, dnsPort)
	out.send("b", backendA, dnsPort)
	s := l.until(h, "released", func(s Stats) bool { return s.Groups == 1 && s.Held == 0 })
	g.Expect(held).To(Equal([]string{"a", "b"}))
	g.Expect(arrived).To(MatchError(os.ErrDeadlineExceeded), "both were held while the callback ran")
	g.Expect(in.readN(2)).To(Equal([]string{"a", "b"}))
	g.Expect(s.Singles).To(BeZero())
	g.Expect(s.Errors).To(BeZero(), s.LastError)
	g.Expect(s.Matched).To(BeEquivalentTo(2))
}

func TestPairsOfTwoHostsAtTheReceiver(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	g.Expect(l.in(l.client, func() error {
		h, err := netlink.NewHandle()
		if err != nil {
			return err
		}
		defer h.Close()
		link, err := h.LinkByName("eth0")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("10.77.1.3/24")
		if err != nil {
			return err
		}
		return h.AddrAdd(link, addr)
	})).To(Succeed())
	other := netip.MustParseAddr("10.77.1.3")
	h := l.start(udpSpec(&Pairs{By: BySourcePort, Last: clientAddr, MaxWait: time.Minute}))
	last, first, in := l.udp(l.client, clientAddr, 4000), l.udp(l.client, other, 4000), l.udp(l.server, backendA, dnsPort)
	last.send("last", backendA, dnsPort)
	l.untilHeld(h, 1)
	first.send("first", backendA, dnsPort)
	g.Expect(in.readN(2)).To(Equal([]string{"first", "last"}))
}

func TestCallbackThatFailsReleasesAll(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(udpSpec(&Pairs{MaxWait: time.Minute, Before: func(context.Context, []Packet) error {
		return errors.New("no luck")
	}}))
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("a", backendA, dnsPort)
	out.send("b", backendA, dnsPort)
	g.Expect(in.readN(2)).To(Equal([]string{"a", "b"}))
	s := l.until(h, "counted", func(s Stats) bool { return s.Errors == 1 })
	g.Expect(s.LastError).To(ContainSubstring("no luck"))
}

func TestSingleIsReleasedByTimeout(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(udpSpec(&Pairs{MaxWait: time.Millisecond}))
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("alone", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("alone"))
	s := l.until(h, "released", func(s Stats) bool { return s.Singles == 1 })
	g.Expect(s.ReleasedByTimeout).To(BeEquivalentTo(1))
	g.Expect(s.Groups).To(BeZero())
	g.Expect(s.Held).To(BeZero())
}

// forgets never releases anything.
type forgets struct{ Pass }

func (forgets) OnPacket(context.Context, time.Time, Packet) Decision { return Decision{} }

func TestMaxHoldBoundsEveryPolicy(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	spec := udpSpec(forgets{})
	spec.MaxHold = time.Millisecond
	h := l.start(spec)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("a", backendA, dnsPort)
	out.send("b", backendA, dnsPort)
	g.Expect(in.readN(2)).To(Equal([]string{"a", "b"}))
	l.until(h, "released", func(s Stats) bool { return s.ReleasedByTimeout == 2 && s.Held == 0 })
}

func TestOtherFlowsAreUntouched(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	established := l.udp(l.client, clientAddr, 0)
	// Conntrack works in this namespace from the first rule that asks for it on.
	warm, err := InstallChain(l.ctx, ChainSpec{Table: table + "-ct", Hook: Prerouting, Match: Match{Proto: unix.IPPROTO_UDP, DstPort: 9, New: true}, Queue: 9})
	g.Expect(err).NotTo(HaveOccurred())
	established.send("first", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("first"))
	in.reply("answer")
	g.Expect(established.read()).To(Equal("answer"))

	spec := udpSpec(&Pairs{MaxWait: time.Minute})
	spec.MaxHold = time.Minute
	h := l.start(spec)
	out.send("held", backendA, dnsPort)
	l.untilHeld(h, 1)

	established.send("state established", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("state established"))
	otherPort := l.udp(l.server, backendA, dnsPort+1)
	out.send("other port", backendA, dnsPort+1)
	g.Expect(otherPort.read()).To(Equal("other port"))
	g.Expect(l.tcpEcho(dnsPort)).To(Equal("other protocol"))

	s := l.stats(h)
	g.Expect(s.Held).To(BeEquivalentTo(1))
	g.Expect(s.Matched).To(BeEquivalentTo(1), "the kernel's counter has not moved")
	g.Expect(h.Close()).To(Succeed())
	g.Expect(in.read()).To(Equal("held"))
	g.Expect(warm.Remove()).To(Succeed())
}

func (l *lab) tcpEcho(port uint16) (string, error) {
	var ln net.Listener
	if err := l.in(l.server, func() (err error) {
		ln, err = net.Listen("tcp4", netip.AddrPortFrom(backendA, port).String())
		return err
	}); err != nil {
		return "", err
	}
	defer func() { _ = ln.Close() }()
	go func() {
		if c, err := ln.Accept(); err == nil {
			_, _ = c.Write([]byte("other protocol"))
			_ = c.Close()
		}
	}()
	b := make([]byte, 100)
	n := 0
	err := l.in(l.client, func() error {
		c, err := net.DialTimeout("tcp4", netip.AddrPortFrom(backendA, port).String(), limit)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(limit))
		n, err = c.Read(b)
		return err
	})
	return string(b[:n]), err
}

func TestOncePerFlow(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(udpSpec(&Pairs{MaxWait: time.Minute, OncePerFlow: true}))
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("a", backendA, dnsPort)
	l.untilHeld(h, 1)
	out.send("b", backendA, dnsPort)
	g.Expect(in.readN(2)).To(Equal([]string{"a", "b"}))
	out.send("again", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("again"))
	s := l.until(h, "passed", func(s Stats) bool { return s.Passed == 1 })
	g.Expect(s.Matched).To(BeEquivalentTo(3), "it was caught, and passed at once")
	g.Expect(s.Groups).To(BeEquivalentTo(1))
	other := l.udp(l.client, clientAddr, 0)
	other.send("c", backendA, dnsPort)
	l.untilHeld(h, 1)
	other.send("d", backendA, dnsPort)
	g.Expect(in.readN(2)).To(Equal([]string{"c", "d"}))
}

func TestFailsOpenWhenTheProcessDies(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	cmd := l.child()
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("held and lost", backendA, dnsPort)
	out2 := l.udp(l.client, clientAddr, 0)
	_, err := in.readFor(200 * time.Millisecond)
	g.Expect(err).To(MatchError(os.ErrDeadlineExceeded), "it is held")

	g.Expect(cmd.Process.Signal(unix.SIGKILL)).To(Succeed())
	_ = cmd.Wait()
	out2.send("after", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("after"), "what is held at that moment is lost, the rest passes")
	g.Expect(tables(t)).To(Equal([]string{table}), "the table stays, without effect")
	removeTable(t, table)
}

func TestOrderlyEndDeliversWhatIsHeld(t *testing.T) {
	for name, end := range map[string]func(h *Hold, cancel func()){
		"Close":   func(h *Hold, _ func()) { _ = h.Close() },
		"context": func(h *Hold, cancel func()) { cancel(); <-h.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			l := newLab(t)
			ctx, cancel := context.WithCancel(l.ctx)
			defer cancel()
			spec := udpSpec(&Pairs{MaxWait: time.Minute})
			spec.MaxHold = time.Minute
			h, err := Start(ctx, spec)
			g.Expect(err).NotTo(HaveOccurred())
			in := l.udp(l.server, backendA, dnsPort)
			const n = 20
			for range n {
				l.udp(l.client, clientAddr, 0).send("held", backendA, dnsPort)
			}
			l.untilHeld(h, n)
			end(h, cancel)
			g.Expect(h.Close()).To(Succeed())
			g.Expect(tables(t)).To(BeEmpty())
			g.Expect(in.readN(n)).To(HaveEach("held"))
			s := l.stats(h)
			g.Expect(s.ReleasedByClose).To(BeEquivalentTo(n))
			g.Expect(s.Matched).To(BeEquivalentTo(n))
			g.Expect(s.Held).To(BeZero())
			g.Expect(s.VerdictErrors).To(BeZero())
		})
	}
}

// Ends under load: nothing is lost while packets keep coming.
func TestOrderlyEndUnderLoadLosesNothing(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	spec := udpSpec(forgets{})
	spec.MaxHold, spec.Match.New = 5*time.Millisecond, false
	h := l.start(spec)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	g.Expect(in.SetReadBuffer(4 << 20)).To(Succeed())
	const n = 4000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range n {
			_, _ = out.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(backendA, dnsPort))
		}
	}()
	l.until(h, "some are there", func(s Stats) bool { return s.Received > 100 })
	g.Expect(h.Close()).To(Succeed())
	<-sent
	s := l.stats(h)
	g.Expect(s.QueueDrops + s.VerdictErrors).To(BeZero())
	g.Expect(in.readN(n)).To(HaveLen(n))
}

// A fact of the kernel that the order of the orderly end rests on: when any base chain goes, all queued packets are dropped.
func TestForeignChainRemovalDropsWhatIsHeld(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	spec := udpSpec(&Pairs{MaxWait: time.Minute})
	spec.MaxHold = time.Minute
	h := l.start(spec)
	foreign, err := InstallChain(l.ctx, ChainSpec{Table: table + "-foreign", Hook: Input, Match: Match{Proto: unix.IPPROTO_SCTP}, Queue: 9})
	g.Expect(err).NotTo(HaveOccurred())
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("held", backendA, dnsPort)
	l.untilHeld(h, 1)
	g.Expect(foreign.Remove()).To(Succeed())
	out.send("second", backendA, dnsPort)
	g.Expect(in.read()).To(Equal("second"), "the first one is gone")
	s := l.until(h, "told", func(s Stats) bool { return s.VerdictErrors == 1 })
	g.Expect(s.LastError).To(ContainSubstring("no such file"))
}

// twice injects a copy behind the first packet and holds nothing.
type twice struct{ Pass }

func (twice) OnPacket(_ context.Context, _ time.Time, p Packet) Decision {
	again := append([]byte(nil), p.Payload...)
	again[len(again)-1] = '2'
	if err := FixChecksums(again); err != nil {
		return Decision{Actions: []Action{Accept(p)}, Err: err}
	}
	return Decision{Actions: []Action{Accept(p), Inject(again)}}
}

func TestInjectedPacketsAreSeenAndNotCaughtAgain(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	spec := udpSpec(twice{})
	spec.Hook, spec.InjectMark, spec.Match.New = Postrouting, 0x77, false
	h := l.start(spec)
	out, in := l.udp(l.client, clientAddr, 0), l.udp(l.server, backendA, dnsPort)
	out.send("packet 1", backendA, dnsPort)
	g.Expect(in.readN(2)).To(Equal([]string{"packet 1", "packet 2"}))
	g.Expect(in.last).To(Equal(out.addr()))
	s := l.until(h, "injected", func(s Stats) bool { return s.Injected == 1 })
	g.Expect(s.Matched).To(BeEquivalentTo(1))
	g.Expect(s.Errors).To(BeZero(), s.LastError)
}

func TestInjectNeedsAMark(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(udpSpec(twice{}))
	l.udp(l.client, clientAddr, 0).send("x", backendA, dnsPort)
	s := l.until(h, "refused", func(s Stats) bool { return s.Errors == 1 })
	g.Expect(s.LastError).To(ContainSubstring("InjectMark"))
}

func TestStartLeavesNothingWhenItFails(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	_, err := Start(l.ctx, Spec{Name: table, Queue: 77, Hook: Forward})
	g.Expect(err).To(MatchError(ContainSubstring("no policy")))

	h := l.start(udpSpec(&Pairs{}))
	_, err = Start(l.ctx, udpSpec(&Pairs{}))
	g.Expect(err).To(MatchError(ContainSubstring("queue 77: bind")), "the queue is taken")
	spec := udpSpec(&Pairs{})
	spec.Queue = 78
	_, err = Start(l.ctx, spec)
	g.Expect(err).To(MatchError(unix.EEXIST), "the table is there: not ours to replace")
	g.Expect(tables(t)).To(Equal([]string{table}))
	spec.Name, spec.Match.Proto = table+"-2", 0
	_, err = Start(l.ctx, spec)
	g.Expect(err).To(MatchError(ContainSubstring("ports need a protocol")))
	g.Expect(h.Close()).To(Succeed())
	g.Expect(h.Close()).To(Succeed())
}

func TestATableThatSomebodyDeletedIsNoErrorAtTheEnd(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(udpSpec(&Pairs{}))
	removeTable(t, table)
	g.Expect(h.Close()).To(Succeed())
}
