package probes

import (
	"net"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestAConnectBesideLookupsDoesNotUseTheirFewPorts(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:21007")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	var ports freshPorts
	end, err := ports.begin()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(setPorts(10000, 10000)).To(Succeed())
	connect := &Connect{To: "127.0.0.1:21007"}
	for range 3 {
		sample := attempt(withPorts(t.Context(), &ports), connect, 0, 5*time.Second)
		g.Expect(sample.Error).To(BeEmpty())
		g.Expect(sample.Ports[0]).To(And(BeNumerically(">=", firstSocket), BeNumerically("<=", lastSocket)))
	}
	// Without that, one connection has the only port, and the next gets none.
	g.Expect(connect.Attempt(t.Context(), 0)).To(HaveField("Ports", [2]uint16{10000, 10000}))
	g.Expect(connect.Attempt(t.Context(), 0)).Error().To(MatchError(syscall.EADDRNOTAVAIL))
	ephemeral := &Connect{To: connect.To, Ephemeral: true}
	g.Expect(attempt(withPorts(t.Context(), &ports), ephemeral, 0, 5*time.Second).Error).To(ContainSubstring("cannot assign requested address"))
	g.Expect(end()).To(Succeed())
}

func TestNoAttemptGetsThePortOfAnother(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	address, _ := datagramServer(t)
	taken, err := net.ListenPacket("udp4", "127.0.0.1:60002")
	g.Expect(err).NotTo(HaveOccurred())
	defer taken.Close()
	var ports freshPorts
	var seen []string
	for number := range 3 {
		sample := attempt(withPorts(t.Context(), &ports), &Datagram{To: address, Socket: "new"}, number, 5*time.Second)
		g.Expect(sample.Error).To(BeEmpty())
		seen = append(seen, sample.Seen)
	}
	g.Expect(seen).To(HaveExactElements(HavePrefix("127.0.0.1:60001 "), HavePrefix("127.0.0.1:60003 "), HavePrefix("127.0.0.1:60004 ")))
}
