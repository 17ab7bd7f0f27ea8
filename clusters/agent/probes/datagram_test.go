package probes

import (
	"context"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
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
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	p := &Datagram{To: "127.0.0.1:9", Socket: "kept"}
	defer p.Close()
	for range 2 { // the socket lives on
		_, err := p.Attempt(ctx, 0)
		g.Expect(err).To(MatchError(ContainSubstring("connection refused")))
	}
}

func TestDatagramDropsWhatIsLate(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	server, err := net.ListenPacket("udp4", "127.0.0.1:5353")
	g.Expect(err).NotTo(HaveOccurred())
	p := &Datagram{To: "127.0.0.1:5353", Socket: "kept"}
	defer p.Close()
	// exchange makes an attempt that the server answers as told; it is cancelled when the server has got its datagram.
	exchange := func(answers ...string) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_, sender, err := server.ReadFrom(make([]byte, 100))
			for _, answer := range answers {
				_, _ = server.WriteTo([]byte(answer), sender)
			}
			if len(answers) < 2 || err != nil {
				cancel()
			}
		}()
		_, err := p.Attempt(ctx, 0)
		return err
	}
	g.Expect(exchange()).To(MatchError(ContainSubstring("i/o timeout")))
	g.Expect(exchange("relapse 1")).To(MatchError(ContainSubstring("i/o timeout")), "the answer to the first attempt")
	g.Expect(exchange("relapse 2", "relapse 3")).To(Succeed())

	g.Expect(server.Close()).To(Succeed())
	_, err = p.conn.Write([]byte("an attempt that nobody waits for any more"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(func() int16 { return pending(t, p.conn) }).Should(Equal(int16(unix.POLLERR)))
	server, err = net.ListenPacket("udp4", "127.0.0.1:5353")
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Close()
	g.Expect(exchange("", "relapse 4")).To(Succeed(), "the first one's ICMP error")
}

// pending is what poll says of a socket that nobody asked anything about: POLLERR if an error waits.
func pending(t *testing.T, conn net.Conn) int16 {
	g := NewWithT(t)
	raw, err := conn.(*net.UDPConn).SyscallConn()
	g.Expect(err).NotTo(HaveOccurred())
	polled := []unix.PollFd{{}}
	g.Expect(raw.Control(func(fd uintptr) {
		polled[0].Fd = int32(fd)
		_, err = unix.Poll(polled, 0)
	})).To(Succeed())
	g.Expect(err).NotTo(HaveOccurred())
	return polled[0].Revents
}

func TestDatagramsOfTheirOwnDoNotWaitForEachOther(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Close()
	p := &Datagram{To: server.LocalAddr().String(), Socket: "new"}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ended := make(chan error, 2)
	for range 2 {
		go func() { _, err := p.Attempt(ctx, 0); ended <- err }()
	}
	for range 2 { // both have sent before either has an answer
		_, _, err := server.ReadFrom(make([]byte, 100))
		g.Expect(err).NotTo(HaveOccurred())
	}
	cancel()
	for range 2 {
		g.Expect(<-ended).To(MatchError(ContainSubstring("i/o timeout")))
	}
}

func TestARenewedProbeGoesBackToItsSocket(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
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
	g.Expect(err).To(MatchError(ContainSubstring("keeps no state")))
	_, err = server.Renew("none")
	g.Expect(err).To(MatchError(ContainSubstring("probe none is not open here")))
}
