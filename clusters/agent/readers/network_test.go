package readers

import (
	"net/netip"
	"runtime"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestLinksRoutesNeighboursAndSettings(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := NewWithT(t)
	g.Expect(links(t.Context())).To(Equal(map[string]float64{"down": 0, "hairpin-off": 0}))
	for _, c := range []string{
		"sysctl -w net.ipv6.conf.all.disable_ipv6=1", "sysctl -w net.ipv6.conf.default.disable_ipv6=1",
		"ip link add eth0 type veth peer name eth1", "ip addr add 10.9.0.1/24 dev eth0", "ip link set eth0 mtu 1400 up", "ip link set eth1 up",
		"ip link add br0 type bridge", "ip link add p0 type veth peer name p1", "ip link set p0 master br0", "ip link set p1 master br0",
		"bridge link set dev p1 hairpin on", "ip link add vx0 type vxlan id 1 dstport 8472", "ip link set vx0 mtu 1350 up",
		"ip route add default via 10.9.0.2", "ip route add 10.8.0.0/16 via 10.9.0.2", "ip route add blackhole 10.7.0.0/16",
		"ip route add unreachable 10.6.0.0/16", "ip route add prohibit 10.5.0.0/16",
		"ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev eth0", "ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:02 dev eth0 nud stale",
		"ip neigh add 10.9.0.4 dev eth0 nud failed", "ip neigh add 10.9.0.5 lladdr 02:00:00:00:00:05 dev eth0 nud noarp",
		"sysctl -w net.ipv4.conf.eth0.rp_filter=2",
	} {
		nstest.Must(t, c)
	}
	g.Expect(links(t.Context())).To(Equal(map[string]float64{
		"down": 3, "hairpin-off": 1, "uplink-mtu": 1400, "overlay-mtu": 1350, "overlay-sent": 0, "overlay-received": 0,
	}))
	for to, want := range map[string]map[string]float64{
		"10.8.0.1": {"prefix": 16, "drops": 0}, "10.9.0.7": {"prefix": 24, "drops": 0}, "192.0.2.1": {"prefix": 0, "drops": 0},
		"10.7.0.1": {"prefix": 16, "drops": 1}, "10.6.0.1": {"prefix": 16, "drops": 1}, "10.5.0.1": {"prefix": 16, "drops": 1},
	} {
		g.Expect(route(t.Context(), netip.MustParseAddr(to))).To(Equal(want), to)
	}
	nstest.Must(t, "ip route del default")
	g.Expect(route(t.Context(), netip.MustParseAddr("192.0.2.1"))).To(Equal(map[string]float64{"prefix": -1, "drops": 0}))
	g.Expect(neighbours(t.Context())).To(Equal(map[string]float64{"entries": 3, "permanent": 1, "failed": 1, "shared": 2}))
	g.Expect(sysctl(t.Context(), "net.ipv4.conf.eth0.rp_filter", nil)).To(Equal(map[string]float64{"value": 2}))
	g.Expect(sysctl(t.Context(), "net.ipv4.ip_local_port_range", nil)).To(Equal(map[string]float64{"value": 32768}))
	g.Expect(sysctl(t.Context(), "net.ipv4.conf.gone.rp_filter", nil)).To(BeNil())
	_, err := sysctl(t.Context(), "net.ipv4.tcp_congestion_control", nil)
	g.Expect(err).To(MatchError("sysctl net.ipv4.tcp_congestion_control is not a number"))
	_, err = sysctl(t.Context(), "kernel.random.uuid", nil)
	g.Expect(err).To(MatchError(ContainSubstring("must be one under net")))
}
