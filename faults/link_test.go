package faults

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	. "github.com/onsi/gomega"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// networkOf makes this namespace a node with an uplink, an overlay, and a bridge with a port to a pod.
func networkOf(t *testing.T) *Namespace {
	for _, c := range []string{
		"ip link set lo up", "ip link add uplink0 type veth peer name switch0", "ip addr add 192.168.77.10/24 dev uplink0",
		"ip link set uplink0 up", "ip link set switch0 up", "ip route add default via 192.168.77.1",
		"ip route add 10.60.0.1/32 dev uplink0", "ip route add 10.50.0.0/16 via 10.60.0.1", "ip route add 10.70.0.0/16 via 10.60.0.1",
		"ip link add overlay0 type vxlan id 1 dstport 8472 local 192.168.77.10 nolearning", "ip addr add 10.244.1.0/32 dev overlay0",
		"ip link set overlay0 up", "ip neigh add 10.244.2.0 lladdr 02:77:00:00:00:02 dev overlay0 nud permanent",
		"bridge fdb append 02:77:00:00:00:02 dev overlay0 dst 192.168.77.11", "ip route add 10.244.2.0/24 via 10.244.2.0 dev overlay0 onlink",
		"ip route add 10.244.3.0/24 dev overlay0 metric 7", "ip link add bridge0 type bridge", "ip addr add 10.244.1.1/24 dev bridge0",
		"ip link set bridge0 up", "ip link add port0 type veth peer name pod0", "ip link set port0 master bridge0", "ip link set port0 up",
		"ip link set pod0 up",
	} {
		nstest.Must(t, c)
	}
	port, err := netlink.LinkByName("port0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &Namespace{
		Scope: (&undo.Stack{}).Begin("change"), Place: "node/node-1",
		Addresses: map[string]netip.Addr{"web": netip.MustParseAddr("10.244.1.2"), "far": netip.MustParseAddr("10.244.2.2"), "gone": netip.MustParseAddr("10.244.1.3")},
		Ports:     map[string]int{"web": port.Attrs().Index, "far": port.Attrs().Index},
	}
}

func TestLink(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ns := networkOf(t)
	off := false
	for name, row := range map[string]struct {
		change *Link
		// shows is a command that then prints a text.
		shows, text string
	}{
		"mtu":         {&Link{MTU: 1400}, "ip link show uplink0", "mtu 1400"},
		"overlay mtu": {&Link{Which: "overlay", MTU: 1300}, "ip link show overlay0", "mtu 1300"},
		"overlay mac": {&Link{Which: "overlay", MAC: "02:00:00:00:00:AA"}, "ip link show overlay0", "02:00:00:00:00:aa"},
		"overlay":     {&Link{Which: "overlay", State: "down"}, "ip link show overlay0", "state DOWN"},
		"uplink":      {&Link{State: "down"}, "ip link show uplink0", "state DOWN"},
		"port":        {&Link{PortOf: "web", State: "down"}, "ip link show port0", "state DOWN"},
		"hairpin":     {&Link{PortOf: "web", Hairpin: new(bool)}, "bridge -d link show dev port0", "hairpin off"},
		"address":     {&Link{Address: "192.168.77.99/24"}, "ip addr show uplink0", "192.168.77.99/24"},
		"duplicate":   {&Link{AddressOf: "far"}, "ip addr show uplink0", "10.244.2.2/32"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			if row.change.Hairpin != nil {
				*row.change.Hairpin = off
				nstest.Must(t, "bridge link set dev port0 hairpin on")
			}
			before, fdb := take(t), nstest.Must(t, "bridge fdb show dev overlay0")
			var stack undo.Stack
			here := *ns
			here.Scope = stack.Begin("change")
			g.Expect(row.change.Validate()).To(Succeed())
			g.Expect(nstest.Must(t, row.shows)).NotTo(ContainSubstring(row.text))
			g.Expect(row.change.Apply(t.Context(), &here)).To(Succeed())
			g.Expect(nstest.Must(t, row.shows)).To(ContainSubstring(row.text))
			g.Expect(row.change.Readings(t.Context())).To(HaveKeyWithValue("set", 1.0))
			if row.change.setting != "" {
				g.Expect(row.change.Apply(t.Context(), &here)).To(MatchError(Or(ContainSubstring("already"), ContainSubstring("such links"), ContainSubstring("no link"))))
			}
			g.Expect(stack.UndoAll(t.Context())).To(Succeed())
			g.Expect(fingerprint.Diff(before, take(t))).To(BeEmpty())
			g.Expect(nstest.Must(t, "bridge fdb show dev overlay0")).To(Equal(fdb))
			g.Expect(row.change.Readings(t.Context())).To(HaveKeyWithValue("set", 0.0))
		})
	}
	for _, pod := range []string{"far", "gone"} {
		NewWithT(t).Expect((&Link{PortOf: pod, State: "down"}).Apply(t.Context(), ns)).To(MatchError(ContainSubstring("no link of node/node-1 leads to it")))
	}
}

// TestAnnouncementsReachTheNeighbours hears them at the other end of the uplink.
func TestAnnouncementsReachTheNeighbours(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := NewWithT(t)
	ns := networkOf(t)
	far, err := net.InterfaceByName("switch0")
	g.Expect(err).NotTo(HaveOccurred())
	conn, err := packet.Listen(far, packet.Raw, unix.ETH_P_ARP, nil)
	g.Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	g.Expect(conn.SetDeadline(time.Now().Add(time.Minute))).To(Succeed())

	var stack undo.Stack
	ns.Scope = stack.Begin("change")
	change := &Link{AddressOf: "far", Announce: true}
	g.Expect(change.Apply(t.Context(), ns)).To(Succeed())
	near, err := net.InterfaceByName("uplink0")
	g.Expect(err).NotTo(HaveOccurred())
	frame := make([]byte, 1500)
	for heard := 0; heard < 2; {
		n, _, err := conn.ReadFrom(frame)
		g.Expect(err).NotTo(HaveOccurred())
		arp, ok := gopacket.NewPacket(frame[:n], layers.LayerTypeEthernet, gopacket.Default).Layer(layers.LayerTypeARP).(*layers.ARP)
		g.Expect(ok).To(BeTrue())
		if net.IP(arp.SourceProtAddress).String() != "10.244.2.2" {
			continue // the kernel's own
		}
		heard++
		g.Expect(arp.Operation).To(BeEquivalentTo(layers.ARPRequest))
		g.Expect(net.HardwareAddr(arp.SourceHwAddress)).To(Equal(near.HardwareAddr))
		g.Expect(arp.DstProtAddress).To(Equal(arp.SourceProtAddress))
	}
	g.Expect(change.Readings(t.Context())).To(HaveKeyWithValue("announced", BeNumerically(">=", 1)))
	g.Expect(stack.UndoAll(t.Context())).To(Succeed())
}

func take(t *testing.T) fingerprint.Fingerprint {
	f, err := fingerprint.Take(t.Context(), fingerprint.Options{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return f
}
