package main

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestHTTPServerClosesIdleConnections(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- httpServer{address: "127.0.0.1:8080", idle: 10 * time.Millisecond}.serve(ctx) }()
	var conn net.Conn
	g.Eventually(func() (err error) { conn, err = net.Dial("tcp4", "127.0.0.1:8080"); return err }).Should(Succeed())
	g.Expect(conn.SetDeadline(time.Now().Add(10 * time.Second))).To(Succeed())
	_, err := io.WriteString(conn, "GET /bytes?n=5 HTTP/1.1\r\nHost: x\r\n\r\n")
	g.Expect(err).NotTo(HaveOccurred())
	answer, err := io.ReadAll(conn) // to the end, which the server makes
	g.Expect(err).NotTo(HaveOccurred())
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	g.Expect(head).To(ContainSubstring("Content-Length: 5"))
	g.Expect(body).To(Equal("\x00\x00\x00\x00\x00"))
	cancel()
	g.Expect(<-ended).To(Succeed())
}

func TestHTTPServerEndsConnectionsThatAreOld(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				ended <- httpServer{address: "127.0.0.1:8080", h2c: true, maxAge: time.Nanosecond, work: time.Millisecond}.serve(ctx)
			}()
			p := &probes.HTTP{URL: "http://127.0.0.1:8080", Kept: true, HTTP2: http2}
			var first probes.Outcome
			g.Eventually(func() (err error) { first, err = p.Attempt(t.Context(), 0); return err }).Should(Succeed())
			second, err := p.Attempt(t.Context(), 1)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(second.Ports).NotTo(Equal(first.Ports))
			name, err := os.Hostname()
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(second.By).To(Equal(name))
			g.Expect(p.Close()).To(Succeed())
			cancel()
			g.Expect(<-ended).To(Succeed())
		})
	}
}
