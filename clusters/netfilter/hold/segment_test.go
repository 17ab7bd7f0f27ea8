package hold

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const (
	flagACK = 0x10
	webPort = 8080
)

// segment is a packet of a TCP server to a client's port.
func segment(id uint32, port uint16, flags byte, seq uint32, data string) Packet {
	b := make([]byte, 40, 40+len(data))
	b[0], b[9] = 0x45, unix.IPPROTO_TCP
	src, dst := backendA.As4(), clientAddr.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[20:], webPort)
	binary.BigEndian.PutUint16(b[22:], port)
	binary.BigEndian.PutUint32(b[24:], seq)
	b[32], b[33] = 5<<4, flags|flagACK
	b = append(b, data...)
	p := Packet{ID: id, Payload: b}
	p.Flow, p.FlowErr = ParseFlow(b)
	return p
}

// did lists what a decision does, in its order: the numbers of packets that it accepts, and -1 for one that it injects.
func did(d Decision) []int {
	var out []int
	for _, a := range d.Actions {
		if a.inject != nil {
			out = append(out, -1)
			continue
		}
		out = append(out, int(a.accept))
	}
	return out
}

func TestParseSegment(t *testing.T) {
	g := NewWithT(t)
	s, err := ParseSegment(segment(1, 5, flagFIN, 7, "hello").Payload)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s).To(Equal(Segment{Seq: 7, Flags: flagFIN | flagACK, Data: 5, Start: 40}))
	udp := segment(1, 5, 0, 7, "hello").Payload
	udp[9] = unix.IPPROTO_UDP
	_, err = ParseSegment(udp)
	g.Expect(err).To(MatchError(ContainSubstring("no TCP header")))
	_, err = ParseSegment(segment(1, 5, 0, 7, "").Payload[:30])
	g.Expect(err).To(MatchError(ContainSubstring("cut short")))
}

func TestFlowsAreBoundedAndBeginAgain(t *testing.T) {
	g := NewWithT(t)
	var f flows[int]
	flow := func(n int) Flow { return Flow{Src: netip.AddrPortFrom(clientAddr, uint16(n))} }
	for n := range flowsMax + 1 {
		*f.of(flow(n), Segment{}) = n + 1
	}
	g.Expect(f.states).To(HaveLen(flowsMax))
	g.Expect(*f.of(flow(flowsMax), Segment{})).To(Equal(flowsMax + 1))
	g.Expect(*f.of(flow(0), Segment{})).To(BeZero(), "the first was forgotten")
	g.Expect(*f.of(flow(flowsMax), Segment{Flags: flagSYN})).To(BeZero(), "a SYN begins a new flow")
	g.Expect(f.oldest).To(HaveLen(flowsMax))
}

// web starts a TCP server behind the router, which does with each connection what serve says, and connects a client to it.
func (l *lab) web(serve func(*net.TCPConn)) *net.TCPConn {
	l.t.Helper()
	g := NewWithT(l.t)
	var listener *net.TCPListener
	g.Expect(l.in(l.server, func() (err error) {
		listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(backendA, webPort)))
		return err
	})).To(Succeed())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := listener.AcceptTCP()
		if err == nil {
			serve(conn)
			_ = conn.Close()
		}
	}()
	var conn *net.TCPConn
	g.Expect(l.in(l.client, func() (err error) {
		conn, err = net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(backendA, webPort)))
		return err
	})).To(Succeed())
	g.Expect(conn.SetDeadline(time.Now().Add(limit))).To(Succeed())
	l.t.Cleanup(func() { _ = conn.Close(); _ = listener.Close(); <-ended })
	return conn
}

func webSpec(p Policy) Spec {
	return Spec{Name: table, Queue: 78, Hook: Forward, Policy: p, InjectMark: 0x77, Match: Match{Proto: unix.IPPROTO_TCP, SrcPort: webPort}}
}

func TestStrayCopiesOneSegmentOfEachFlow(t *testing.T) {
	g := NewWithT(t)
	s := &Stray{After: 2}
	now := time.Unix(1000, 0)
	on := func(p Packet) Decision { return s.OnPacket(t.Context(), now, p) }
	g.Expect(did(on(segment(1, 5, flagSYN, 0, "")))).To(Equal([]int{1}))
	g.Expect(did(on(segment(2, 5, 0, 1, "a")))).To(Equal([]int{2}))
	g.Expect(did(on(segment(3, 5, 0, 2, "")))).To(Equal([]int{3}), "an empty one does not count")
	g.Expect(did(on(segment(4, 6, 0, 2, "a")))).To(Equal([]int{4}), "another flow")
	original := segment(5, 5, 0, 100, strings.Repeat("b", 5000))
	d := on(original)
	g.Expect(did(d)).To(Equal([]int{5, -1}))
	stray := d.Actions[1].inject
	copied, err := ParseSegment(stray)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(copied.Seq).To(BeEquivalentTo(100 + DefaultStrayOffset))
	g.Expect(copied.Data).To(Equal(strayRoom), "it must fit a link")
	g.Expect(original.Payload[24:28]).To(Equal([]byte{0, 0, 0, 100}), "the original is not touched")
	g.Expect(did(on(segment(6, 5, 0, 3, "c")))).To(Equal([]int{6}), "once")
	on(segment(7, 5, flagSYN, 0, ""))
	on(segment(8, 5, 0, 1, "a"))
	g.Expect(did(on(segment(9, 5, 0, 1, "a")))).To(Equal([]int{9, -1}), "the ports are used again")

	back := &Stray{Offset: -200}
	copied, err = ParseSegment(back.OnPacket(t.Context(), now, segment(1, 5, 0, 100, "a")).Actions[1].inject)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(int32(copied.Seq)).To(BeEquivalentTo(-100))
	g.Expect(on(packet(1, 5)).Err).To(HaveOccurred())
}

func TestStrayIsInvalidAndHarmsNobodyElse(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	conn, err := nftables.New()
	g.Expect(err).NotTo(HaveOccurred())
	watching := conn.AddTable(&nftables.Table{Name: "conntrack", Family: nftables.TableFamilyIPv4})
	chain := conn.AddChain(&nftables.Chain{Name: "forward", Table: watching, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityRef(10)})
	conn.AddRule(&nftables.Rule{Table: watching, Chain: chain, Exprs: Match{New: true}.exprs()})
	g.Expect(conn.Flush()).To(Succeed())
	invalid := func() uint64 {
		stats, err := l.ct.Stats(l.ctx)
		g.Expect(err).NotTo(HaveOccurred())
		return stats["invalid"]
	}
	before := invalid()
	h := l.start(webSpec(&Stray{After: 2}))
	// The router sends the copy itself, so that its conntrack judges it in output.
	client := l.web(func(c *net.TCPConn) {
		for range 5 {
			_, _ = c.Write([]byte("hello"))
			_, _ = c.Read(make([]byte, 1)) // so that each is a segment of its own
		}
	})
	b := make([]byte, 5)
	for range 5 {
		_, err := io.ReadFull(client, b)
		g.Expect(err).NotTo(HaveOccurred())
		_, err = client.Write([]byte("."))
		g.Expect(err).NotTo(HaveOccurred())
	}
	l.until(h, "a copy", func(s Stats) bool { return s.Injected == 1 })
	g.Eventually(invalid).WithTimeout(limit).Should(BeNumerically(">", before))
	conn.DelTable(watching)
	g.Expect(h.Close()).To(Succeed())
	g.Expect(conn.Flush()).To(Succeed())
}

func TestReorderByDistance(t *testing.T) {
	g := NewWithT(t)
	r := &Reorder{Distance: 2, Every: 3, MaxWait: time.Second}
	now := time.Unix(1000, 0)
	on := func(id uint32, port uint16, data string) []int {
		return did(r.OnPacket(t.Context(), now, segment(id, port, 0, id, data)))
	}
	g.Expect(on(1, 5, "a")).To(Equal([]int{1}))
	g.Expect(on(2, 5, "a")).To(Equal([]int{2}))
	g.Expect(r.NextTimer()).To(BeZero())
	g.Expect(on(3, 5, "a")).To(BeEmpty())
	g.Expect(r.NextTimer()).To(Equal(now.Add(time.Second)))
	g.Expect(on(4, 5, "")).To(Equal([]int{4}), "an empty one does not count")
	g.Expect(on(5, 5, "a")).To(Equal([]int{5}))
	g.Expect(on(6, 6, "a")).To(Equal([]int{6}), "another flow does not count")
	g.Expect(on(7, 5, "a")).To(Equal([]int{7, 3}))
	g.Expect(on(8, 5, "a")).To(BeEmpty())
	g.Expect(did(r.OnTimer(t.Context(), now))).To(BeEmpty())
	d := r.OnTimer(t.Context(), r.NextTimer())
	g.Expect(did(d)).To(Equal([]int{8}))
	g.Expect(d.TimedOut).To(Equal(1))
	g.Expect(r.NextTimer()).To(BeZero())
}

func TestReorderAtTheReceiver(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(webSpec(&Reorder{Distance: 1, Every: 3}))
	outOfOrder := func() string {
		var text []byte
		g.Expect(l.in(l.client, func() (err error) {
			text, err = os.ReadFile("/proc/thread-self/net/netstat")
			return err
		})).To(Succeed())
		names, numbers, _ := strings.Cut(string(text), "\n")
		for i, name := range strings.Fields(names) {
			if name == "TCPOFOQueue" {
				return strings.Fields(numbers)[i]
			}
		}
		return ""
	}
	g.Expect(outOfOrder()).To(Equal("0"))
	client := l.web(func(c *net.TCPConn) {
		for range 10 {
			_, _ = c.Write([]byte("hello"))
		}
	})
	got, err := io.ReadAll(client)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got)).To(Equal(strings.Repeat("hello", 10)))
	g.Expect(outOfOrder()).NotTo(Equal("0"))
	s := l.stats(h)
	g.Expect(s.Groups).To(BeNumerically(">", 0))
	g.Expect(s.Errors).To(BeZero(), s.LastError)
}

func TestFINWaitsForItsRST(t *testing.T) {
	g := NewWithT(t)
	f := &FIN{MaxWait: time.Second}
	now := time.Unix(1000, 0)
	on := func(id uint32, port uint16, flags byte) []int {
		return did(f.OnPacket(t.Context(), now, segment(id, port, flags, id, "")))
	}
	g.Expect(on(1, 5, 0)).To(Equal([]int{1}))
	g.Expect(on(2, 5, flagFIN)).To(BeEmpty())
	g.Expect(on(3, 6, flagFIN)).To(BeEmpty())
	g.Expect(on(4, 5, flagFIN)).To(BeEmpty(), "its repetition waits too")
	g.Expect(on(5, 5, flagRST)).To(Equal([]int{5, 2, 4}))
	g.Expect(on(6, 5, flagFIN)).To(Equal([]int{6}), "this flow is over")
	d := f.OnTimer(t.Context(), f.NextTimer())
	g.Expect(did(d)).To(Equal([]int{3}))
	g.Expect(d.TimedOut).To(Equal(1))
	g.Expect(on(7, 6, flagFIN)).To(Equal([]int{7}), "and so is this one")
	g.Expect(f.NextTimer()).To(BeZero())
	on(8, 5, flagSYN)
	g.Expect(on(9, 5, flagFIN)).To(BeEmpty(), "the ports are used again")
}

func TestFINBehindItsRSTAtTheReceiver(t *testing.T) {
	g := NewWithT(t)
	l := newLab(t)
	h := l.start(webSpec(&FIN{MaxWait: time.Minute}))
	client := l.web(func(*net.TCPConn) {}) // closes at once
	l.until(h, "a FIN is held", func(s Stats) bool { return s.Kept > 0 })
	_, err := client.Write([]byte("a request"))
	g.Expect(err).NotTo(HaveOccurred(), "the client does not know yet")
	_, err = client.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(syscall.ECONNRESET), "with the FIN first it would be an end of file")
	l.until(h, "the FIN went behind the RST", func(s Stats) bool { return s.Groups > 0 && s.Held == 0 })
}
