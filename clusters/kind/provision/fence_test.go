package provision

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/outside"
)

// elsewhere is another network namespace, by the process that it belongs to.
type elsewhere struct {
	t   *testing.T
	pid int
}

func newNamespace(t *testing.T) elsewhere {
	t.Helper()
	cmd := exec.Command("unshare", "--net", "sh", "-c", "echo; exec sleep infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return elsewhere{t, cmd.Process.Pid}
}

func (e elsewhere) try(command string) (string, error) {
	return nstest.Try(fmt.Sprintf("nsenter --net=/proc/%d/ns/net %s", e.pid, command))
}

func (e elsewhere) must(commands ...string) {
	e.t.Helper()
	for _, command := range commands {
		if out, err := e.try(command); err != nil {
			e.t.Fatal(err, out)
		}
	}
}

// arrived is how many packets of a family came in over the uplink, beside those of the link's own housekeeping.
func (e elsewhere) arrived() string {
	out, err := e.try("nft list table inet arrived")
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.Join(regexp.MustCompile(`packets \d+`).FindAllString(out, -1), ", ")
}

// town is a machine (this namespace) with the bridge of an engine, two nodes on it, another engine's bridge with a container, and an
// uplink to the world.
type town struct{ node1, node2, other, world elsewhere }

const instance = "12345678"

func newTown(t *testing.T) town {
	t.Helper()
	w := town{newNamespace(t), newNamespace(t), newNamespace(t), newNamespace(t)}
	bridge := bridgeOf(instance)
	for _, command := range []string{
		"ip link set lo up", "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
		"ip link add " + bridge + " type bridge", "ip address add 172.18.0.1/16 dev " + bridge,
		"ip -6 address add fd18::1/64 dev " + bridge + " nodad", "ip link set " + bridge + " up",
		"ip link add other0 type bridge", "ip address add 172.17.0.1/16 dev other0", "ip link set other0 up",
		fmt.Sprintf("ip link add uplink type veth peer name eth0 netns %d", w.world.pid),
		"ip address add 203.0.113.2/24 dev uplink", "ip -6 address add 2001:db8::2/64 dev uplink nodad", "ip link set uplink up",
		"ip route add default via 203.0.113.1", "ip -6 route add default via 2001:db8::1",
	} {
		nstest.Must(t, command)
	}
	for i, node := range []elsewhere{w.node1, w.node2, w.other} {
		master, v4, gateway := bridge, fmt.Sprintf("172.18.0.%d/16", i+2), "172.18.0.1"
		if node == w.other {
			master, v4, gateway = "other0", "172.17.0.2/16", "172.17.0.1"
		}
		nstest.Must(t, fmt.Sprintf("ip link add veth%d type veth peer name eth0 netns %d", i, node.pid))
		nstest.Must(t, fmt.Sprintf("ip link set veth%d master %s up", i, master))
		node.must("ip link set lo up", "ip address add "+v4+" dev eth0", fmt.Sprintf("ip -6 address add fd18::%d/64 dev eth0 nodad", i+2),
			"ip link set eth0 up", "ip route add default via "+gateway, "ip -6 route add default via fd18::1")
	}
	w.world.must("ip link set lo up", "ip address add 203.0.113.1/24 dev eth0", "ip -6 address add 2001:db8::1/64 dev eth0 nodad",
		"ip link set eth0 up", "ip route add default via 203.0.113.2", "ip -6 route add default via 2001:db8::2",
		"nft add table inet arrived", "nft add chain inet arrived in { type filter hook prerouting priority raw ; }",
		"nft add rule inet arrived in meta nfproto ipv4 counter", "nft add rule inet arrived in ip6 nexthdr { tcp, udp } counter")
	// An engine's FORWARD chain drops what it does not know, which the sender must not have to wait out.
	nstest.Must(t, "nft add table ip filter")
	nstest.Must(t, "nft add chain ip filter FORWARD { type filter hook forward priority 0 ; policy drop ; }")
	return w
}

// connect tries a TCP connection to port 80 and says how it ended.
func (e elsewhere) connect(address string, patience time.Duration) string {
	out, err := e.try(fmt.Sprintf("timeout %g bash -c exec<>/dev/tcp/%s/80", patience.Seconds(), address))
	for _, end := range []string{"No route to host", "Connection refused"} {
		if strings.Contains(out, end) {
			return end
		}
	}
	if err != nil && strings.TrimSpace(out) == "" {
		return "timed out"
	}
	return "connected" + out
}

func TestFence(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	w := newTown(t)
	nstest.Must(t, "nft chain ip filter FORWARD { policy accept ; }")
	_, _ = w.node1.try("timeout 1 bash -c exec<>/dev/tcp/10.96.0.77/80")
	g.Expect(w.world.arrived()).NotTo(HavePrefix("packets 0"), "without a fence a ClusterIP that no rule catches leaves the machine")
	nstest.Must(t, "nft chain ip filter FORWARD { policy drop ; }")
	w.world.must("nft flush chain inet arrived in", "nft add rule inet arrived in meta nfproto ipv4 counter",
		"nft add rule inet arrived in ip6 nexthdr { tcp, udp } counter")

	before := nstest.Must(t, "nft list tables")
	g.Expect(fence(instance, netip.MustParsePrefix("172.18.0.0/16"))).To(Succeed())
	g.Expect(fences()).To(Equal([]string{instance}))
	g.Expect(refused(instance)).To(BeZero())

	// What would leave is refused before other chains could drop it. (The kernel acts on the answer to a second SYN:
	// that to the first comes back while the socket is still busy sending.)
	g.Expect(w.node1.connect("10.96.0.77", 10*time.Second)).To(Equal("No route to host"))
	g.Expect(w.node1.connect("203.0.113.1", 10*time.Second)).To(Equal("No route to host"))
	g.Expect(w.node1.connect("172.17.0.2", 10*time.Second)).To(Equal("No route to host"), "nor into another engine's network")
	count := func() uint64 {
		packets, err := refused(instance)
		g.Expect(err).NotTo(HaveOccurred())
		return packets
	}
	dropped := func(from elsewhere, address string) {
		before := count()
		g.Expect(from.connect(address, 500*time.Millisecond)).To(Equal("timed out"), address)
		g.Expect(count()).To(BeNumerically(">", before), address)
	}
	dropped(w.other, "172.18.0.2")
	dropped(w.node1, outside.DNS)
	dropped(w.node1, "fd00:10:96::77")
	// An answer to this packet would go to 10.96.0.1, and leave the machine.
	w.node1.must("ip address add 10.96.0.1/32 dev lo", "ip route add 10.244.0.9 via 172.18.0.1 src 10.96.0.1",
		"ip route add 203.0.113.2 via 172.18.0.1 src 10.96.0.1")
	dropped(w.node1, "10.244.0.9")
	dropped(w.node1, "203.0.113.2")
	g.Expect(w.world.arrived()).To(Equal("packets 0, packets 0"))

	// What has to pass: between nodes, also where bridged packets are shown to the rules; between this machine and the nodes.
	_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644) // where the kernel has it
	nstest.Must(t, "nft chain ip filter FORWARD { policy accept ; }")
	kept := count()
	g.Expect(w.node1.connect("172.18.0.3", 10*time.Second)).To(Equal("Connection refused"))
	g.Expect(w.node1.connect("172.18.0.1", 10*time.Second)).To(Equal("Connection refused"))
	_, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(t.Context(), "tcp", "172.18.0.2:80")
	g.Expect(err).To(MatchError(ContainSubstring("connection refused")))
	g.Expect(count()).To(Equal(kept))
	g.Expect(w.world.arrived()).To(Equal("packets 0, packets 0"))

	g.Expect(fenceRecord(instance).Undo(context.Background())).To(Succeed())
	g.Expect(nstest.Must(t, "nft list tables")).To(Equal(before))
	g.Expect(fenceRecord(instance).Undo(context.Background())).To(Succeed())
}
