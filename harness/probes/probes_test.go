package probes

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/undo/nstest"
)

func TestConnectTakesTheAttemptsOwnPort(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	p := &Connect{To: listener.Addr().String(), SourcePort: 20000}
	for _, number := range []int{1007, 11007} { // numbers go round, and the port is used again
		outcome, err := p.Attempt(t.Context(), number)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcome.Seen).To(HavePrefix("127.0.0.1:21007 > "))
		conn, err := listener.Accept()
		g.Expect(err).NotTo(HaveOccurred())
		// With a RST, so that the first connection is not in TIME_WAIT when the second wants its ports and addresses.
		g.Expect(conn.(*net.TCPConn).SetLinger(0)).To(Succeed())
		g.Expect(conn.Close()).To(Succeed())
	}
}

func TestLookupsProcessGetsItsPort(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	server, err := net.ListenPacket("udp4", "127.0.0.1:5353")
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Close()
	p := &Lookup{Name: "x", Family: "ipv4", SourcePort: 20000}
	end, err := p.Begin()
	g.Expect(err).NotTo(HaveOccurred())
	for number := range 3 {
		// Any program that opens one UDP socket will do.
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "exec 3<>/dev/udp/127.0.0.1/5353; echo hello >&3; cat <&3")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		wait, err := p.ports.startWith(ctx, cmd, ownPort(p.SourcePort, number))
		g.Expect(err).NotTo(HaveOccurred())
		_, from, err := server.ReadFrom(make([]byte, 100))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(from.String()).To(Equal(fmt.Sprintf("127.0.0.1:%d", 20000+number)))
		g.Expect(cmd.Process.Kill()).To(Succeed())
		g.Expect(wait()).To(HaveOccurred())
		cancel()
	}
	before := nstest.Must(t, "cat "+portRange)
	g.Expect(end()).To(Succeed())
	g.Expect(nstest.Must(t, "cat "+portRange)).NotTo(Equal(before))
}

func TestDownloadNoticesAShortBody(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/bytes?n=5":
			fmt.Fprint(w, "hello")
		case "/short":
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "hello")
		default:
			http.NotFound(w, r)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	address := "http://" + listener.Addr().String()
	outcome, err := (&Download{URL: address, Bytes: 5, ReceiveBuffer: 4096}).Attempt(t.Context(), 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcome.Seen).To(HavePrefix("5 bytes at "))
	_, err = (&Download{URL: address + "/short"}).Attempt(t.Context(), 0)
	g.Expect(err).To(MatchError("after 5 bytes: unexpected EOF"))
	_, err = (&Download{URL: address + "/none"}).Attempt(t.Context(), 0)
	g.Expect(err).To(MatchError("404 Not Found"))
	g.Expect((&Download{URL: "203.0.113.10"}).Validate()).To(MatchError(ContainSubstring("must be http://HOST")))
}
