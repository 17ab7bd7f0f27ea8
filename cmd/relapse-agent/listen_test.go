package main

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestABusyServerLeavesConnectionsInItsShortQueue(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	listener, err := listening{backlog: 3, acceptEvery: time.Hour}.listen(ctx, "127.0.0.1:8080")
	g.Expect(err).NotTo(HaveOccurred())
	accepted := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			conn.Close()
		}
		accepted <- err
	}()
	conn, err := net.Dial("tcp4", "127.0.0.1:8080")
	g.Expect(err).NotTo(HaveOccurred())
	defer conn.Close()
	g.Eventually(func() (map[string]float64, error) {
		return readers.HandleRead(t.Context(), readers.Question{Reader: "sockets/8080", Keys: []string{"accept-queue", "accept-backlog"}}, nil)
	}).Should(Equal(map[string]float64{"accept-queue": 1, "accept-backlog": 3}))
	g.Expect(accepted).NotTo(Receive())
	cancel() // it ends its pause
	g.Expect(<-accepted).To(Succeed())
	g.Expect(listener.Close()).To(Succeed())
}

func TestAServerAnswersLateWhoHasClosedItsSide(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- echoServer{address: "127.0.0.1:8080", delay: 100 * time.Millisecond}.serve(ctx) }()
	var conn net.Conn
	g.Eventually(func() (err error) { conn, err = net.Dial("tcp4", "127.0.0.1:8080"); return err }).Should(Succeed())
	defer conn.Close()
	start := time.Now()
	_, err := conn.Write([]byte("late"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(conn.(*net.TCPConn).CloseWrite()).To(Succeed())
	g.Expect(io.ReadAll(conn)).To(BeEquivalentTo("late"))
	g.Expect(time.Since(start)).To(BeNumerically(">=", 100*time.Millisecond))
	cancel()
	g.Expect(<-ended).To(Succeed())
}
