package hold

import (
	"net/netip"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func packet(id uint32, port uint16) Packet {
	return Packet{ID: id, Flow: Flow{Proto: 17, Src: netip.AddrPortFrom(clientAddr, port), Dst: netip.AddrPortFrom(backendA, uint16(id))}}
}

func ids(d Decision) []uint32 {
	var out []uint32
	for _, a := range d.Actions {
		out = append(out, a.accept)
	}
	return out
}

func TestPairsByFlowNotByArrival(t *testing.T) {
	g := NewWithT(t)
	p := &Pairs{MaxWait: time.Second}
	now := time.Unix(1000, 0)
	g.Expect(p.NextTimer()).To(BeZero())
	g.Expect(ids(p.OnPacket(t.Context(), now, packet(1, 1)))).To(BeEmpty())
	g.Expect(ids(p.OnPacket(t.Context(), now.Add(time.Millisecond), packet(2, 2)))).To(BeEmpty())
	g.Expect(p.NextTimer()).To(Equal(now.Add(time.Second)))
	g.Expect(ids(p.OnPacket(t.Context(), now, packet(3, 1)))).To(Equal([]uint32{1, 3}))
	g.Expect(p.NextTimer()).To(Equal(now.Add(time.Second + time.Millisecond)))
	g.Expect(ids(p.OnTimer(t.Context(), now.Add(time.Second)))).To(BeEmpty(), "not due yet")
	d := p.OnTimer(t.Context(), p.NextTimer())
	g.Expect(ids(d)).To(Equal([]uint32{2}))
	g.Expect(d.Singles).To(Equal(1))
	g.Expect(p.NextTimer()).To(BeZero())
}

func TestPairsBySourcePort(t *testing.T) {
	g := NewWithT(t)
	p := &Pairs{By: BySourcePort, Last: clientAddr, OncePerFlow: true, MaxWait: time.Second}
	now := time.Unix(1000, 0)
	from := func(id uint32, addr netip.Addr, port uint16) []uint32 {
		x := packet(id, port)
		x.Flow.Src = netip.AddrPortFrom(addr, port)
		return ids(p.OnPacket(t.Context(), now, x))
	}
	g.Expect(from(1, clientAddr, 1)).To(BeEmpty())
	g.Expect(from(2, clientAddr, 1)).To(Equal([]uint32{2}), "the same pod again is no partner")
	g.Expect(from(3, backendB, 2)).To(BeEmpty(), "another port")
	g.Expect(from(4, backendB, 1)).To(Equal([]uint32{4, 1}), "the one named last goes last")
	g.Expect(from(5, clientAddr, 1)).To(Equal([]uint32{5}), "a repetition passes")
	g.Expect(from(6, clientAddr, 2)).To(Equal([]uint32{3, 6}))
}

func TestPairsMemoryIsBounded(t *testing.T) {
	g := NewWithT(t)
	p := &Pairs{OncePerFlow: true}
	now := time.Unix(1000, 0)
	pair := func(port uint16) {
		p.OnPacket(t.Context(), now, packet(1, port))
		g.Expect(p.OnPacket(t.Context(), now, packet(2, port)).Groups).To(Equal(1))
	}
	passes := func(port uint16, at time.Time) bool {
		d := p.OnPacket(t.Context(), at, packet(9, port))
		p.waiting = nil
		return d.Passed == 1
	}
	for port := range uint16(rememberMax) {
		pair(port)
	}
	g.Expect(passes(0, now)).To(BeTrue())
	pair(rememberMax)
	g.Expect(passes(0, now)).To(BeFalse(), "the oldest is forgotten")
	g.Expect(passes(1, now)).To(BeTrue())
	g.Expect(passes(rememberMax, now)).To(BeTrue())
	g.Expect(passes(rememberMax, now.Add(time.Hour))).To(BeFalse(), "after its time too")
	now = now.Add(time.Hour)
	pair(rememberMax)
	g.Expect(passes(rememberMax, now)).To(BeTrue())
	g.Expect(p.known).To(HaveLen(1))
	g.Expect(p.oldest).To(HaveLen(1))
}

func TestParseFlowSaysWhatIsWrong(t *testing.T) {
	good := make([]byte, 28)
	good[0], good[9] = 0x45, 17
	copy(good[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 1, 0})
	fragment := append([]byte(nil), good...)
	fragment[7] = 1
	for _, c := range []struct {
		name, want, err string
		packet          []byte
	}{
		{"udp", "udp 10.0.0.1:53 > 10.0.0.2:256", "", good},
		{"later fragment", "udp 10.0.0.1:0 > 10.0.0.2:0", "", fragment},
		{"short", "", "shorter", good[:10]},
		{"ipv6", "", "version 6", append([]byte{0x60}, good[1:]...)},
		{"header length", "", "header length 60", append([]byte{0x4f}, good[1:]...)},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			f, err := ParseFlow(c.packet)
			if c.err != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.err)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(f.String()).To(Equal(c.want))
		})
	}
}

func TestFixChecksums(t *testing.T) {
	for proto, size := range map[byte]int{17: 8, 6: 20} {
		g := NewWithT(t)
		b := make([]byte, 20+size+3) // an odd number of bytes
		b[0], b[9] = 0x45, proto
		copy(b[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 1, 0})
		if proto == 6 {
			b[32] = 5 << 4
		}
		copy(b[20+size:], "abc")
		g.Expect(FixChecksums(b)).To(Succeed())
		g.Expect(fold(sum(0, b[:20]))).To(BeEquivalentTo(0xffff))
		pseudo := sum(uint32(proto)+uint32(len(b)-20), b[12:20])
		g.Expect(fold(sum(pseudo, b[20:]))).To(BeEquivalentTo(0xffff))
		g.Expect(L4(b)).To(BeEquivalentTo("abc"))
	}
}
