package load_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// TestPlacesThatNotEveryClusterHas: a scenario that reads CoreDNS's pods must need them.
func TestPlacesThatNotEveryClusterHas(t *testing.T) {
	g := NewWithT(t)
	reading := []string{"stillApplied: []", "stillApplied: [{reader: snmp, on: pod/coredns, key: UdpNoPorts, rise: {min: 1}}]"}
	_, err := load.Parse("minimal.yaml", []byte(minimal(t, reading...)), catalogue.All())
	g.Expect(err).To(MatchError(ContainSubstring("variants[0].fault.stillApplied[0].on: not every cluster has the place pod/coredns: add coredns-pods to needs")))
	for _, needs := range []string{"topology: {nodes: 2}", "    why: The kernel"} {
		indent := "needs: [coredns-pods]\n"
		if needs[0] == ' ' {
			indent = "    " + indent
		}
		_, err = load.Parse("minimal.yaml", []byte(minimal(t, append(reading, needs, indent+needs)...)), catalogue.All())
		g.Expect(err).NotTo(HaveOccurred())
	}
}
