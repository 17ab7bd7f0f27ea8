package probes

import (
	"context"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

// slowToStart answers each first datagram of a sender later than those after it, on 127.0.0.1 and the addresses after it.
func slowToStart(t *testing.T, late time.Duration) {
	t.Helper()
	for _, address := range []string{"127.0.0.1:9000", "127.0.0.2:9000"} {
		conn, err := net.ListenPacket("udp4", address)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { conn.Close() })
		go func() {
			known, buffer := map[string]bool{}, make([]byte, 100)
			for {
				n, from, err := conn.ReadFrom(buffer)
				if err != nil {
					return
				}
				if !known[from.String()] {
					time.Sleep(late)
				}
				known[from.String()] = true
				_, _ = conn.WriteTo(buffer[:n], from)
			}
		}()
	}
}

func TestFirstPacketIsComparedWithTheSecond(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	const late = 20 * time.Millisecond
	slowToStart(t, late)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()

	outcome, err := (&FirstPacket{To: "127.0.0.1:9000", Flows: 3, AtMost: 2}).Attempt(ctx, 0)
	g.Expect(err).To(MatchError(MatchRegexp(`the first packet took \d+\.\d times as long as the second`)))
	g.Expect(outcome.Took).To(BeNumerically(">=", late))
	outcome, err = (&FirstPacket{To: "127.0.0.1:9000", Addresses: 2, Flows: 1, AtMost: 1e9}).Attempt(ctx, 3)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Seen).To(MatchRegexp(`^127\.0\.0\.2:9000: the first packet [\d.]+ ms`))

	g.Expect((&FirstPacket{To: "web:9000", Addresses: 2}).Validate()).To(MatchError(ContainSubstring("not the first of several IPv4 addresses")))
	g.Expect((&FirstPacket{To: "pod/web:9000"}).Validate()).To(Succeed())
}
