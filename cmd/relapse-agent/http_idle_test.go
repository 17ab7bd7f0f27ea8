package main

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestHTTPServerClosesIdleConnections(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	nstest.Must(t, "ip link set lo up")
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
