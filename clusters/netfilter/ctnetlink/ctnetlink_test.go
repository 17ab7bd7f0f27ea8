package ctnetlink

import (
	"context"
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	. "github.com/onsi/gomega"
	vnetlink "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func init() { runtime.LockOSThread() }

// TestMain runs the tests again in a network namespace of their own, which dies with them.
func TestMain(m *testing.M) { nstest.Main(m) }

func open(t testing.TB) (*Conn, context.Context) {
	t.Helper()
	nstest.NeedsNamespace(t)
	g := NewWithT(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	c, err := Open()
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		_, err := c.DeleteWhere(ctx, Filter{Src: netip.MustParsePrefix("0.0.0.0/0")})
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		NewWithT(t).Expect(c.Close()).To(Succeed())
	})
	return c, ctx
}

// numbered is a TCP entry from 10.x.y.z:1000 to 192.0.2.1:443.
func numbered(i int, mark uint32) Entry {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24+uint32(i))
	return Entry{
		Proto: unix.IPPROTO_TCP, Timeout: 600 * time.Second, Status: Established, Mark: mark, TCPState: TCPEstablished,
		Orig: Tuple{netip.AddrPortFrom(netip.AddrFrom4(a), 1000), netip.MustParseAddrPort("192.0.2.1:443")},
	}
}

func TestCreateIsListedAsMade(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	e := Entry{
		Proto: unix.IPPROTO_UDP, Timeout: 100 * time.Second, Status: Established, Mark: 0x42,
		Orig:  Tuple{netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2")},
		Reply: Tuple{netip.MustParseAddrPort("192.0.2.3:3"), netip.MustParseAddrPort("192.0.2.4:4")},
	}
	g.Expect(c.Create(ctx, e)).To(Succeed())
	list, err := c.List(ctx, Filter{Proto: unix.IPPROTO_UDP, DstPort: 2})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list).To(HaveLen(1))
	g.Expect(list[0].Timeout).To(BeNumerically("<=", e.Timeout))
	list[0].Timeout = e.Timeout
	g.Expect(list[0]).To(Equal(e))

	g.Expect(c.Create(ctx, e)).To(MatchError(unix.EEXIST))
	g.Expect(c.Create(ctx, Entry{Proto: unix.IPPROTO_UDP})).To(MatchError(ContainSubstring("addresses")))
}

func TestWhatWasTakenCanBePutBack(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	client, service, pod := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:2"), netip.MustParseAddrPort("192.0.2.3:3")
	node := netip.MustParseAddrPort("192.0.2.4:4")
	for _, e := range []Entry{
		{DNAT: pod}, {DNAT: pod, SNAT: node}, {SNAT: node}, {NATDone: true},
	} {
		e.Proto, e.Timeout, e.Status, e.Orig = unix.IPPROTO_UDP, 100*time.Second, Established, Tuple{client, service}
		g.Expect(c.Create(ctx, e)).To(Succeed())
		before, err := c.List(ctx, Filter{DstPort: 2})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(before).To(HaveLen(1))
		want := Tuple{service, client}
		if e.DNAT.IsValid() {
			want.Src = pod
		}
		if e.SNAT.IsValid() {
			want.Dst = node
		}
		g.Expect(before[0].Reply).To(Equal(want), "the kernel translates as it is told")

		taken, err := c.TakeWhere(ctx, Filter{DstPort: 2})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(taken).To(HaveLen(1))
		g.Expect(c.Count(ctx)).To(Equal(0))
		g.Expect(c.Create(ctx, taken[0].Again())).To(Succeed())
		after, err := c.List(ctx, Filter{DstPort: 2})
		g.Expect(err).NotTo(HaveOccurred())
		after[0].Timeout = before[0].Timeout
		g.Expect(after).To(Equal(before))
		_, err = c.DeleteWhere(ctx, Filter{DstPort: 2})
		g.Expect(err).NotTo(HaveOccurred())
	}
}

func TestFillCountAndDelete(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	const n = 5000
	start := time.Now()
	r, err := c.Fill(ctx, n, func(i int) Entry { return numbered(i, uint32(1+i%2)) })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r).To(Equal(Filled{Made: n}))
	t.Logf("%d entries in %s", n, time.Since(start))
	g.Expect(c.Count(ctx)).To(Equal(n))
	g.Expect(c.Max(ctx)).To(BeNumerically(">", 0))

	r, err = c.Fill(ctx, n+10, func(i int) Entry { return numbered(i, 1) })
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(r).To(Equal(Filled{Made: 10, Existed: n}), "those that exist are counted, the others made")

	g.Expect(c.DeleteByMark(ctx, 2, 0xff)).To(Succeed())
	g.Expect(c.Count(ctx)).To(Equal(n/2+10), "the kernel deletes by mark")
	g.Expect(c.DeleteByMark(ctx, 1, 0)).To(MatchError(ContainSubstring("every entry")))

	deleted, err := c.DeleteWhere(ctx, Filter{Proto: unix.IPPROTO_TCP, DstPort: 443, Src: netip.MustParsePrefix("10.0.0.0/24")})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(deleted).To(Equal(128))
	deleted, err = c.DeleteWhere(ctx, Filter{Proto: unix.IPPROTO_TCP, DstPort: 443})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(deleted).To(Equal(n/2 + 10 - 128))
	g.Expect(c.Count(ctx)).To(Equal(0))
	_, err = c.DeleteWhere(ctx, Filter{})
	g.Expect(err).To(MatchError(ContainSubstring("every entry")))
}

// A full table has hundreds of thousands of entries, which take seconds to send.
func TestTheKernelFilters(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	for i, e := range []Entry{{Proto: unix.IPPROTO_TCP}, {Proto: unix.IPPROTO_TCP}, {Proto: unix.IPPROTO_UDP}} {
		e.Timeout = time.Minute
		e.Orig = Tuple{
			netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1+i)),
			netip.AddrPortFrom(netip.MustParseAddr("192.0.2.2"), uint16(80+i%2)),
		}
		g.Expect(c.Create(ctx, e)).To(Succeed())
	}
	for _, of := range []struct {
		Filter
		sent, selected int
	}{
		{Filter{}, 3, 3},
		{Filter{Proto: unix.IPPROTO_TCP}, 2, 2},
		{Filter{Proto: unix.IPPROTO_TCP, DstPort: 80}, 1, 1},
		{Filter{Proto: unix.IPPROTO_UDP, DstPort: 81}, 0, 0},
		{Filter{DstPort: 80}, 3, 2},
		{Filter{Proto: unix.IPPROTO_TCP, Src: netip.MustParsePrefix("192.0.2.2/32")}, 2, 0},
	} {
		g.Expect(c.nl.Execute(message(msgGet, netlink.Dump, of.Filter.marshal()))).To(HaveLen(of.sent), "%+v", of.Filter)
		g.Expect(c.List(ctx, of.Filter)).To(HaveLen(of.selected), "%+v", of.Filter)
	}
}

func TestEntriesOfIPv6AreLeftAlone(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	src, dst := netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")
	g.Expect(c.Create(ctx, Entry{Proto: unix.IPPROTO_UDP, Timeout: time.Minute, Orig: Tuple{src, dst}})).To(MatchError(ContainSubstring("IPv4")))

	flow := vnetlink.ConntrackFlow{FamilyType: unix.AF_INET6, TimeOut: 100}
	flow.Forward = vnetlink.IPTuple{SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice(), SrcPort: 1, DstPort: 2, Protocol: unix.IPPROTO_UDP}
	flow.Reverse = vnetlink.IPTuple{SrcIP: dst.Addr().AsSlice(), DstIP: src.Addr().AsSlice(), SrcPort: 2, DstPort: 1, Protocol: unix.IPPROTO_UDP}
	g.Expect(vnetlink.ConntrackCreate(vnetlink.ConntrackTable, unix.AF_INET6, &flow)).To(Succeed())
	g.Expect(c.List(ctx, Filter{Proto: unix.IPPROTO_UDP})).To(BeEmpty())
	g.Expect(c.DeleteWhere(ctx, Filter{Proto: unix.IPPROTO_UDP})).To(BeZero())
	g.Expect(c.Count(ctx)).To(Equal(1))
	g.Expect(vnetlink.ConntrackTableFlush(vnetlink.ConntrackTable)).To(Succeed())
}

func TestStatsHasTheKeys(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	s, err := c.Stats(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	t.Log("the kernel has: ", s)
	g.Expect(s).To(And(HaveKey(InsertFailed), HaveKey(Dropped), HaveKey(EarlyDrop), HaveKey(Invalid)))
}

func TestAnEndedContextIsSaid(t *testing.T) {
	g := NewWithT(t)
	c, _ := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := c.Fill(ctx, 10, func(i int) Entry { return numbered(i, 0) })
	g.Expect(err).To(MatchError(context.Canceled))
}

// BenchmarkFill makes entries up to the host's limit, or 262144 when that is larger, in this namespace only.
func BenchmarkFill(b *testing.B) {
	c, ctx := open(b)
	limit, err := c.Max(ctx)
	if err != nil {
		b.Fatal(err)
	}
	n := min(limit, 262144)
	for b.Loop() {
		if r, err := c.Fill(ctx, n, func(i int) Entry { return numbered(i, 1) }); err != nil || r.Made != n {
			b.Fatal(r, err)
		}
		b.StopTimer()
		if err := c.DeleteByMark(ctx, 1, 1); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(n), "entries")
}
