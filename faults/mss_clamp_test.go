package faults

import (
	"net"
	"runtime"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestMSSClamp(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := NewWithT(t)
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer server.Close()
	// largest is the largest segment that a new connection sends.
	largest := func() (size int) {
		conn, err := net.Dial("tcp4", server.Addr().String())
		g.Expect(err).NotTo(HaveOccurred())
		defer conn.Close()
		raw, err := conn.(*net.TCPConn).SyscallConn()
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(raw.Control(func(fd uintptr) { size, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG) })).To(Succeed())
		g.Expect(err).NotTo(HaveOccurred())
		return size
	}
	before := largest()
	g.Expect(before).To(BeNumerically(">", 1300))
	stack := &undo.Stack{}
	ns := &Namespace{Scope: stack.Begin("clamp"), Name: "relapse_clamp"}
	change := &MSSClamp{MSS: 1300}
	g.Expect(change.Apply(t.Context(), ns)).To(Succeed())
	g.Expect(largest()).To(BeNumerically("<=", 1300))
	g.Expect(change.Readings(t.Context())).To(HaveKeyWithValue("packets", 2.0))
	g.Expect(ns.Scope.Undo(t.Context())).To(Succeed())
	g.Expect(largest()).To(Equal(before))
}
