package main

import (
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/lab/components/netnstest"
)

const dns = `{"metadata":{"name":"web"},"spec":{"clusterIP":"10.96.0.10","ports":[{"name":"dns","protocol":"UDP","port":53,"targetPort":5353}]}}`

// endpoints is the slice of the Service with some endpoints or none.
func endpoints(addresses ...string) string {
	var list []string
	for _, a := range addresses {
		list = append(list, `{"addresses":["`+a+`"],"conditions":{"ready":true}}`)
	}
	return `{"metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"addressType":"IPv4",
		"ports":[{"name":"dns","protocol":"UDP","port":5353}],"endpoints":[` + strings.Join(list, ",") + `]}`
}

// TestConntrackIsCleaned holds kube-proxy's clean-up of this version against a real table: which entry to a UDP Service outlives
// which change of its endpoints.
func TestConntrackIsCleaned(t *testing.T) {
	for mode, list := range map[string]string{modeNFTables: "nft", modeIPTables: "iptables-save"} {
		t.Run(mode, func(t *testing.T) {
			netnstest.Run(t, func(t *testing.T) {
				if _, err := exec.LookPath(list); err != nil {
					t.Skipf("skipped: %v", err)
				}
				proxy, revision := start(t, mode), 0
				send := func(services, slices string) {
					t.Helper()
					revision++
					if report := proxy.send(t, line(revision, services, slices)); report.Synced != revision {
						t.Fatalf("state %d: reported %+v", revision, report)
					}
				}
				send(dns, endpoints("10.244.1.5"))
				entry(t, "10.244.1.5")
				send(dns, endpoints("10.244.1.5", "10.244.1.6"))
				left(t, 1, "an entry to an endpoint, when another comes")
				send(dns, endpoints("10.244.1.6"))
				left(t, 0, "an entry to an endpoint that has gone, beside one that stays")
				entry(t, "10.244.1.6")
				send(dns, endpoints())
				left(t, 1, "an entry to the last endpoint, when it has gone")
				send(dns, "")
				left(t, 1, "the same, when the slice goes too")
				send(dns, endpoints("10.244.1.7"))
				left(t, 0, "the same, when the Service has another endpoint")
				entry(t, "10.96.0.10")
				send(dns, endpoints("10.244.1.8"))
				left(t, 0, "an entry that was not translated")
				entry(t, "10.244.1.8")
				send("", "")
				left(t, 1, "an entry, when the Service goes")
				proxy.end(t)
			})
		})
	}
}

// entry makes one for a flow to the Service that is answered from a port 5353.
func entry(t *testing.T, from string) {
	t.Helper()
	client, service := net.IPv4(10, 244, 2, 2).To4(), net.IPv4(10, 96, 0, 10).To4()
	flow := &netlink.ConntrackFlow{
		FamilyType: unix.AF_INET, TimeOut: 600,
		Forward: netlink.IPTuple{Protocol: unix.IPPROTO_UDP, SrcIP: client, SrcPort: 4000, DstIP: service, DstPort: 53},
		Reverse: netlink.IPTuple{Protocol: unix.IPPROTO_UDP, SrcIP: net.ParseIP(from).To4(), SrcPort: 5353, DstIP: client, DstPort: 4000},
	}
	if err := netlink.ConntrackCreate(netlink.ConntrackTable, unix.AF_INET, flow); err != nil {
		t.Fatalf("making an entry: %v", err)
	}
	left(t, 1, "an entry just made")
}

func left(t *testing.T, want int, what string) {
	t.Helper()
	flows, err := netlink.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET)
	if err != nil {
		t.Fatal(err)
	}
	if len(flows) != want {
		t.Errorf("%s: %d entries are left, want %d: %v", what, len(flows), want, flows)
	}
}
