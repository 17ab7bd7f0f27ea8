package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestConnectTakesTheAttemptsOwnPort(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
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
	server, err := net.ListenPacket("udp4", "127.0.0.1:5353")
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Close()
	ports := &freshPorts{}
	p := &Lookup{Name: "x", Family: "ipv4", SourcePort: 20000, ports: ports}
	before := nstest.Must(t, "cat "+portRange)
	end, err := p.Begin()
	g.Expect(err).NotTo(HaveOccurred())
	for number := range 3 {
		// Any program that opens one UDP socket will do.
		cmd := exec.CommandContext(t.Context(), "bash", "-c", "echo; read; exec 3<>/dev/udp/127.0.0.1/5353; echo hello >&3; exec cat <&3")
		cmd.Stdout = io.Discard
		run, err := p.ports.prepare(t.Context(), cmd, ownPort(p.SourcePort, number))
		g.Expect(err).NotTo(HaveOccurred())
		var outcome Outcome
		var ended sync.WaitGroup
		ended.Go(func() { outcome, err = run(t.Context()) })
		_, from, readErr := server.ReadFrom(make([]byte, 100))
		g.Expect(readErr).NotTo(HaveOccurred())
		g.Expect(from.String()).To(Equal(fmt.Sprintf("127.0.0.1:%d", 20000+number)))
		g.Expect(cmd.Process.Kill()).To(Succeed())
		ended.Wait()
		g.Expect(err).To(HaveOccurred())
		g.Expect(outcome.Ports).To(Equal([2]uint16{uint16(20000 + number), uint16(20000 + number)}))
	}
	// A process that ends before anybody has seen its socket leaves no narrow range either.
	brief := exec.CommandContext(t.Context(), "bash", "-c", "echo; read")
	brief.Stdout = io.Discard
	run, err := ports.prepare(t.Context(), brief, 0)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(run(t.Context())).Error().NotTo(HaveOccurred())
	g.Expect(strings.Fields(nstest.Must(t, "cat "+portRange))).To(Equal([]string{"60001", "65535"}))
	// Nor does one that takes its time; which port it will get is not known.
	slow := exec.CommandContext(t.Context(), "bash", "-c", "echo; read; read")
	slow.Stdout = io.Discard
	run, err = ports.prepare(t.Context(), slow, 0)
	g.Expect(err).NotTo(HaveOccurred())
	var unknown Outcome
	var waited sync.WaitGroup
	waited.Go(func() { unknown, err = run(t.Context()) })
	g.Eventually(func() string { return nstest.Must(t, "cat "+portRange) }).WithTimeout(5 * time.Second).Should(HavePrefix("100"))
	g.Eventually(func() string { return nstest.Must(t, "cat "+portRange) }).WithTimeout(5 * time.Second).Should(HavePrefix("60001"))
	g.Expect(slow.Process.Kill()).To(Succeed())
	waited.Wait()
	g.Expect(unknown.Ports).To(Equal([2]uint16{}))
	// Another lookup of the same pod goes on: the range is restored when the last one ends.
	endOther, err := (&Lookup{Name: "y", ports: ports}).Begin()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(end()).To(Succeed())
	g.Expect(nstest.Must(t, "cat "+portRange)).NotTo(Equal(before))
	g.Expect(endOther()).To(Succeed())
	g.Expect(nstest.Must(t, "cat "+portRange)).To(Equal(before))
}

func TestDownloadNoticesAShortBody(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.String() {
		case "/bytes?n=5":
			fmt.Fprint(w, "hello")
		case "/other/bytes?n=5":
			fmt.Fprint(w, "bye")
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
	_, err = (&Download{URL: address + "/other", Bytes: 5}).Attempt(t.Context(), 0)
	g.Expect(err).To(MatchError("3 bytes came, 5 were requested"))
	_, err = (&Download{URL: address + "/short"}).Attempt(t.Context(), 0)
	g.Expect(err).To(MatchError("after 5 bytes: unexpected EOF"))
	_, err = (&Download{URL: address + "/none"}).Attempt(t.Context(), 0)
	g.Expect(err).To(MatchError("404 Not Found"))
	g.Expect((&Download{URL: "203.0.113.10"}).Validate()).To(MatchError(ContainSubstring("must be http://HOST")))
}

// wordy is a probe whose server says much.
type wordy struct{}

func (wordy) Attempt(context.Context, int) (Outcome, error) {
	return Outcome{Seen: strings.Repeat("ä", 1000)}, errors.New(strings.Repeat("a", 1000))
}
func (wordy) Close() error { return nil }

func TestWhatAServerSaysIsKeptShort(t *testing.T) {
	g := NewWithT(t)
	sample := attempt(t.Context(), wordy{}, 0, time.Second)
	g.Expect(sample.Seen).To(Equal(strings.Repeat("ä", maxText/2) + "…"))
	g.Expect(sample.Error).To(Equal(strings.Repeat("a", maxText) + "…"))
}
