package readers

import (
	"net/netip"
	"os/exec"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

var refusedAddress = netip.MustParseAddrPort("10.96.0.125:8125")

// The lines are kube-proxy's, of Kubernetes 1.36.
func TestRefusedByIPTables(t *testing.T) {
	g := NewWithT(t)
	g.Expect(refusedByIPTables(`*filter
:KUBE-SERVICES - [0:0]
-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.96.0.125/32 -p udp -m comment --comment "default/server has no endpoints" -m udp --dport 8125 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-SERVICES -d 10.96.0.80/32 -p tcp -m comment --comment "default/web has no endpoints" -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable
-A KUBE-SERVICES -d 10.96.0.81/32 -p udp -m comment --comment "default/local has no local endpoints" -m udp --dport 81 -j DROP
COMMIT
`)).To(Equal(map[netip.AddrPort]bool{refusedAddress: true}))
}

// The map is made as kube-proxy makes it.
func TestStaleEntriesBesideNFTables(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip(err)
	}
	g := NewWithT(t)
	g.Expect(services(t.Context(), "10.96.0.125", nil)).To(Equal(map[string]float64{"refused": 0, "stale": 0, "stale-unreplied": 0}), "without kube-proxy")
	for _, command := range []string{
		"nft add table ip kube-proxy",
		"nft add chain ip kube-proxy reject-chain",
		"nft add map ip kube-proxy no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }",
		"nft add element ip kube-proxy no-endpoint-services { 10.96.0.125 . udp . 8125 comment \"default/server\" : goto reject-chain }",
		"nft add element ip kube-proxy no-endpoint-services { 10.96.0.80 . tcp . 80 : goto reject-chain }",
	} {
		nstest.Must(t, command)
	}
	table, err := ctnetlink.Open()
	g.Expect(err).NotTo(HaveOccurred())
	defer table.Close()
	flow := func(client, service, pod string, status ctnetlink.Status) {
		t.Helper()
		g.Expect(table.Create(t.Context(), ctnetlink.Entry{
			Proto: unix.IPPROTO_UDP, Timeout: 100e9, Status: status, DNAT: netip.MustParseAddrPort(pod),
			Orig: ctnetlink.Tuple{Src: netip.MustParseAddrPort(client), Dst: netip.MustParseAddrPort(service)},
		})).To(Succeed())
	}
	flow("10.244.1.2:1000", "10.96.0.125:8125", "10.244.2.2:8125", ctnetlink.Established)
	flow("10.244.1.2:1001", "10.96.0.125:8125", "10.244.2.2:8125", ctnetlink.Confirmed)
	flow("10.244.1.2:1000", "10.96.0.126:8125", "10.244.2.3:8125", ctnetlink.Established)
	g.Expect(services(t.Context(), "10.96.0.125", nil)).To(Equal(map[string]float64{"refused": 1, "stale": 2, "stale-unreplied": 1}))
	g.Expect(services(t.Context(), "10.96.0.126", nil)).To(Equal(map[string]float64{"refused": 0, "stale": 0, "stale-unreplied": 0}), "another Service")
}
