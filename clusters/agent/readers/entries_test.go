package readers

import (
	"net/netip"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

func TestConntrackEntries(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	table, err := ctnetlink.Open()
	g.Expect(err).NotTo(HaveOccurred())
	defer table.Close()
	for client, e := range map[string]ctnetlink.Entry{
		"10.244.1.2:1000": {Proto: unix.IPPROTO_TCP, Status: ctnetlink.Established, TCPState: 5, DNAT: netip.MustParseAddrPort("10.244.2.2:8080")},
		"10.244.1.2:1001": {Proto: unix.IPPROTO_TCP, Status: ctnetlink.Confirmed, TCPState: ctnetlink.TCPSynSent},
		"10.244.1.2:1002": {Proto: unix.IPPROTO_UDP, Status: ctnetlink.Established},
	} {
		e.Timeout, e.Orig = 100e9, ctnetlink.Tuple{Src: netip.MustParseAddrPort(client), Dst: netip.MustParseAddrPort("10.96.0.1:80")}
		g.Expect(table.Create(t.Context(), e)).To(Succeed())
	}
	keys := []string{"all", "close-wait", "established", "unreplied", "assured", "dnat", "snat"}
	g.Expect(conntrackEntries(t.Context(), "tcp:80", keys)).To(Equal(map[string]float64{
		"all": 2, "close-wait": 1, "established": 0, "unreplied": 1, "assured": 1, "dnat": 1, "snat": 0,
	}))
	g.Expect(conntrackEntries(t.Context(), "udp:80", keys)).To(Equal(map[string]float64{
		"all": 1, "close-wait": 0, "established": 0, "unreplied": 0, "assured": 1, "dnat": 0, "snat": 0,
	}))
	g.Expect(conntrackEntries(t.Context(), "tcp:81", keys)).To(HaveEach(0.0))
}

func TestNamesOfConntrackEntries(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"", "tcp", "tcp:", "tcp:0", "tcp/80", "icmp:1", "80"} {
		_, err := entriesArgument(text)
		g.Expect(err).To(MatchError(ContainSubstring("as in conntrack-entries/tcp:80")), text)
	}
	_, err := entriesKey("CLOSE_WAIT")
	g.Expect(err).To(MatchError(ContainSubstring("must be one of all, assured, dnat, snat, unreplied, close, close-wait")))
	_, err = entriesKey("close-wait")
	g.Expect(err).NotTo(HaveOccurred())
}
