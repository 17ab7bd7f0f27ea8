package ctnetlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
)

const insideEnv = "RELAPSE_CTNETLINK_TEST_NS"

var skipReason string

func init() { runtime.LockOSThread() }

// TestMain runs the tests again in a network namespace of their own, which dies with them.
func TestMain(m *testing.M) {
	if os.Getenv(insideEnv) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(max(1, exit.ExitCode()))
	}
	skipReason = fmt.Sprintf("no network namespace for the tests: %v", err)
	os.Exit(m.Run())
}

func open(t testing.TB) (*Conn, context.Context) {
	t.Helper()
	if skipReason != "" {
		t.Skip(skipReason)
	}
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

func TestIPv6(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	e := Entry{
		Proto: unix.IPPROTO_UDP, Timeout: 100 * time.Second, Status: Established,
		Orig: Tuple{netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:2")},
	}
	g.Expect(c.Create(ctx, e)).To(Succeed())
	n, err := c.DeleteWhere(ctx, Filter{Dst: netip.MustParsePrefix("2001:db8::/32")})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(n).To(Equal(1))
}

func TestStatsHasTheKeys(t *testing.T) {
	g := NewWithT(t)
	c, ctx := open(t)
	s, err := c.Stats(ctx)
	g.Expect(err).NotTo(HaveOccurred())
	t.Logf("the kernel has: %s", s)
	g.Expect(s).To(And(HaveKey(InsertFailed), HaveKey(Dropped), HaveKey(EarlyDrop), HaveKey(Invalid)))
	g.Expect(s.Since(s)).To(HaveEach(uint64(0)))
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
