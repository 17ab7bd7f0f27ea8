package probes

import (
	"context"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/undo/nstest"
)

// datagramServer sends back what it gets, and says from where each datagram came.
func datagramServer(t *testing.T) (address string, from chan string) {
	t.Helper()
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { server.Close() })
	from = make(chan string, 10)
	go func() {
		buffer := make([]byte, 100)
		for {
			n, sender, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			from <- sender.String()
			if string(buffer[:n]) == "relapse 2" {
				_, _ = server.WriteTo([]byte("relapse 1"), sender) // the answer to another attempt
			}
			_, _ = server.WriteTo(buffer[:n], sender)
		}
	}()
	return server.LocalAddr().String(), from
}

func TestDatagramsOfOneSocketAndOfMany(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	address, from := datagramServer(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	senders := func(p Probe) (all []string) {
		for range 2 {
			_, err := p.Attempt(ctx, 0)
			g.Expect(err).NotTo(HaveOccurred())
			all = append(all, <-from)
		}
		return all
	}
	kept := &Datagram{To: address, Socket: "kept"}
	first := senders(kept)
	g.Expect(first[1]).To(Equal(first[0]))
	fresh := senders(&Datagram{To: address, Socket: "new"})
	g.Expect(fresh[1]).NotTo(Equal(fresh[0]))
	g.Expect(kept.Close()).To(Succeed())
}

func TestDatagramHearsThatItIsRefused(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p := &Datagram{To: "127.0.0.1:9", Socket: "kept"}
	defer p.Close()
	for range 2 { // the socket lives on
		_, err := p.Attempt(ctx, 0)
		g.Expect(err).To(MatchError(ContainSubstring("connection refused")))
	}
}

func TestARenewedProbeGoesBackToItsSocket(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	address, from := datagramServer(t)
	server := &Server{open: map[string]Probe{"kept": &Datagram{To: address, Socket: "kept"}, "connect": &Connect{To: address}}}
	sender := func() string {
		sampling := Sampling{ID: "kept", Attempts: 1, Every: time.Second, Timeout: 10 * time.Second}
		_, err := server.sample(t.Context(), sampling, func(s Sample) { g.Expect(s.Error).To(BeEmpty()) })
		g.Expect(err).NotTo(HaveOccurred())
		return <-from
	}
	before := sender()
	back, err := server.Renew("kept")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(sender()).NotTo(Equal(before))
	g.Expect(back()).To(Succeed())
	g.Expect(sender()).To(Equal(before))

	_, err = server.Renew("connect")
	g.Expect(err).To(MatchError(ContainSubstring("keeps nothing")))
	_, err = server.Renew("none")
	g.Expect(err).To(MatchError(ContainSubstring("no probe none")))
}
