package lab_test

import (
	"net"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// TestALabLeavesTheMachinesNetworkAlone holds what README says of safety. The test's own namespace stands for the machine: while a
// lab is up it looks as before, and nothing in the lab reaches an address of it.
func TestALabLeavesTheMachinesNetworkAlone(t *testing.T) {
	newLab(t) // skips if there can be no lab
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link add uplink type bridge")
	nstest.Must(t, "ip addr add 198.51.100.1/24 dev uplink")
	nstest.Must(t, "ip link set uplink up")
	listener, err := net.Listen("tcp", "198.51.100.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	machine := listener.Addr().String()
	conn, err := net.Dial("tcp", machine)
	g.Expect(err).NotTo(HaveOccurred(), "the machine itself reaches it")
	g.Expect(conn.Close()).To(Succeed())

	before, err := fingerprint.Take(t.Context(), fingerprint.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	c := create(t, clusters.Spec{Name: "isolated", Nodes: 2, Proxy: "nftables", Workload: webAndClient})
	g.Expect(attempt(t, c, "pod/client", "connect", probes.Connect{To: "web:80"}).Error).To(BeEmpty(), "the lab works")
	for _, place := range []string{"pod/client", "node/node-1", "outside"} {
		g.Expect(attempt(t, c, place, "connect", probes.Connect{To: machine}).Error).NotTo(BeEmpty(), place)
	}
	during, err := fingerprint.Take(t.Context(), fingerprint.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(fingerprint.Diff(before, during)).To(BeEmpty())
}
