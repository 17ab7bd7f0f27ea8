package hold

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/google/nftables"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

const (
	childEnv = "RELAPSE_HOLD_TEST_CHILD"
	table    = "relapse-hold-test"
	limit    = 10 * time.Second
)

func init() { runtime.LockOSThread() } // the main thread stays in TestMain, so /proc/self shows this namespace

// TestMain runs the tests again as a process that lives in a network namespace of its own, as an agent does: that is the
// router. It has no name and dies with the process.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		holdForever()
	}
	nstest.Main(m)
}

// holdForever is the process that is killed while it holds.
func holdForever() {
	spec := udpSpec(&Pairs{MaxWait: time.Minute})
	spec.MaxHold = time.Minute
	if _, err := Start(context.Background(), spec); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("holding")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until killed, or until the parent is gone
	os.Exit(1)
}

// lab is client (10.77.1.2) -- router (this process, 10.77.1.1 and 10.77.2.1) -- server (10.77.2.2 and 10.77.2.3).
type lab struct {
	t              testing.TB
	ctx            context.Context
	ct             *ctnetlink.Conn
	client, server netns.NsHandle
}

var (
	clientAddr = netip.MustParseAddr("10.77.1.2")
	backendA   = netip.MustParseAddr("10.77.2.2")
	backendB   = netip.MustParseAddr("10.77.2.3")
)

const dnsPort = 5300

func newLab(t testing.TB) *lab {
	t.Helper()
	nstest.NeedsNamespace(t)
	g := NewWithT(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	l := &lab{t: t, ctx: ctx}
	var err error
	l.ct, err = ctnetlink.Open()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)).To(Succeed())
	l.client = l.host("c0", "10.77.1.1/24", "10.77.1.2/24")
	l.server = l.host("s0", "10.77.2.1/24", "10.77.2.2/24", "10.77.2.3/24")
	t.Cleanup(func() {
		g := NewWithT(t)
		defer cancel()
		for _, name := range []string{"c0", "s0"} {
			link, err := netlink.LinkByName(name)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(netlink.LinkDel(link)).To(Succeed())
		}
		g.Expect(l.client.Close()).To(Succeed())
		g.Expect(l.server.Close()).To(Succeed())
		_, err := l.ct.DeleteWhere(ctx, ctnetlink.Filter{Src: netip.MustParsePrefix("0.0.0.0/0")})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(l.ct.Close()).To(Succeed())
		g.Expect(tables(t)).To(BeEmpty(), "nothing is left behind")
	})
	// Neighbours are learnt now, so that what is held later does not wait for ARP.
	in := l.udp(l.server, backendA, 7)
	for _, to := range []netip.Addr{backendA, backendB} {
		in := in
		if to == backendB {
			in = l.udp(l.server, backendB, 7)
		}
		out := l.udp(l.client, clientAddr, 0)
		out.send("warm", to, 7)
		g.Expect(in.read()).To(Equal("warm"))
		in.reply("warm")
		g.Expect(out.read()).To(Equal("warm"))
	}
	return l
}

// host makes a namespace without a name, joined to the router by a veth pair.
func (l *lab) host(link, gateway string, addrs ...string) netns.NsHandle {
	l.t.Helper()
	g := NewWithT(l.t)
	type made struct {
		ns  netns.NsHandle
		err error
	}
	result := make(chan made)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- made{err: err}
			return
		}
		ns, err := netns.Get()
		result <- made{ns, err}
	}()
	r := <-result
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: link}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(r.ns))})).To(Succeed())
	here, err := netlink.NewHandle()
	g.Expect(err).NotTo(HaveOccurred())
	defer here.Close()
	there, err := netlink.NewHandleAt(r.ns)
	g.Expect(err).NotTo(HaveOccurred())
	defer there.Close()
	up := func(h *netlink.Handle, name string, addrs ...string) {
		dev, err := h.LinkByName(name)
		g.Expect(err).NotTo(HaveOccurred())
		for _, a := range addrs {
			addr, err := netlink.ParseAddr(a)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(h.AddrAdd(dev, addr)).To(Succeed())
		}
		g.Expect(h.LinkSetUp(dev)).To(Succeed())
	}
	up(here, link, gateway)
	up(there, "eth0", addrs...)
	g.Expect(there.RouteAdd(&netlink.Route{Gw: netip.MustParsePrefix(gateway).Addr().AsSlice()})).To(Succeed())
	return r.ns
}

// in runs f on a thread that is in the namespace and dies afterwards; sockets opened there stay there.
func (l *lab) in(ns netns.NsHandle, f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}

type socket struct {
	*net.UDPConn
	t    testing.TB
	last netip.AddrPort
}

func (l *lab) udp(ns netns.NsHandle, addr netip.Addr, port uint16) *socket {
	l.t.Helper()
	s := &socket{t: l.t}
	NewWithT(l.t).Expect(l.in(ns, func() (err error) {
		s.UDPConn, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
		return err
	})).To(Succeed())
	l.t.Cleanup(func() { _ = s.Close() })
	return s
}

func (s *socket) addr() netip.AddrPort { return s.LocalAddr().(*net.UDPAddr).AddrPort() }

func (s *socket) send(text string, to netip.Addr, port uint16) {
	s.t.Helper()
	_, err := s.WriteToUDPAddrPort([]byte(text), netip.AddrPortFrom(to, port))
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
}

func (s *socket) reply(text string) {
	s.t.Helper()
	s.send(text, s.last.Addr(), s.last.Port())
}

// read waits for one packet, up to a limit that only a failing test reaches.
func (s *socket) read() (string, error) { return s.readFor(limit) }

func (s *socket) readFor(d time.Duration) (string, error) {
	b := make([]byte, 2048)
	if err := s.SetReadDeadline(time.Now().Add(d)); err != nil {
		return "", err
	}
	n, from, err := s.ReadFromUDPAddrPort(b)
	s.last = from
	return string(b[:n]), err
}

func (s *socket) readN(n int) []string {
	s.t.Helper()
	var got []string
	for range n {
		text, err := s.read()
		NewWithT(s.t).Expect(err).NotTo(HaveOccurred(), "got only %q", got)
		got = append(got, text)
	}
	return got
}

func udpSpec(p Policy) Spec {
	return Spec{
		Name: table, Queue: 77, Hook: Forward, Policy: p,
		Match: Match{Proto: unix.IPPROTO_UDP, DstPort: dnsPort, New: true},
	}
}

func (l *lab) start(spec Spec) *Hold {
	l.t.Helper()
	h, err := Start(l.ctx, spec)
	NewWithT(l.t).Expect(err).NotTo(HaveOccurred())
	l.t.Cleanup(func() { NewWithT(l.t).Expect(h.Close()).To(Succeed()) })
	return h
}

func (l *lab) stats(h *Hold) Stats {
	l.t.Helper()
	s, err := h.Stats(l.ctx)
	NewWithT(l.t).Expect(err).NotTo(HaveOccurred())
	return s
}

// until waits for a condition on the statistics.
func (l *lab) until(h *Hold, what string, cond func(Stats) bool) Stats {
	l.t.Helper()
	NewWithT(l.t).Eventually(func() bool { return cond(l.stats(h)) }).WithTimeout(limit).WithPolling(time.Millisecond).Should(BeTrue(), what)
	return l.stats(h)
}

func (l *lab) untilHeld(h *Hold, n uint64) {
	l.t.Helper()
	l.until(h, fmt.Sprintf("%d held", n), func(s Stats) bool { return s.Held == n })
}

func tables(t testing.TB) []string {
	t.Helper()
	conn, err := nftables.New()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	list, err := conn.ListTables()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var names []string
	for _, x := range list {
		names = append(names, x.Name)
	}
	return names
}

// child starts a second process in the router's namespace that holds, and waits until it does.
func (l *lab) child() *exec.Cmd {
	l.t.Helper()
	g := NewWithT(l.t)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	_, err := cmd.StdinPipe()
	g.Expect(err).NotTo(HaveOccurred())
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(line).To(Equal("holding\n"))
	return cmd
}

// removeTable deletes a table of the router, which must be there.
func removeTable(t testing.TB, name string) {
	t.Helper()
	g := NewWithT(t)
	conn, err := nftables.New()
	g.Expect(err).NotTo(HaveOccurred())
	conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyIPv4})
	g.Expect(conn.Flush()).To(Succeed())
}
