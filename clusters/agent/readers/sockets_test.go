package readers

import (
	"net"
	"os"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
)

func TestSockets(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	g.Expect(os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("40000 40007"), 0o644)).To(Succeed())
	listener, err := net.Listen("tcp", ":8080")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	raw, err := listener.(*net.TCPListener).SyscallConn()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 5) })).To(Succeed())
	g.Expect(err).NotTo(HaveOccurred())
	read := func(port string) map[string]float64 {
		values, err := sockets(t.Context(), port, []string{"established", "close-wait", "fin-wait-2", "listening", acceptQueue, acceptBacklog, rangeUsed})
		g.Expect(err).NotTo(HaveOccurred())
		return values
	}
	var open []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", "127.0.0.1:8080")
		g.Expect(err).NotTo(HaveOccurred())
		open = append(open, conn)
		defer conn.Close()
	}
	g.Eventually(func() map[string]float64 { return read("8080") }).Should(Equal(map[string]float64{
		"established": 4, "close-wait": 0, "fin-wait-2": 0, "listening": 1, acceptQueue: 2, acceptBacklog: 5, rangeUsed: 0.25,
	}), "both ends of two connections")
	_, err = listener.Accept()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(open[0].(*net.TCPConn).CloseWrite()).To(Succeed())
	g.Eventually(func() map[string]float64 { return read("8080") }).Should(Equal(map[string]float64{
		"established": 2, "close-wait": 1, "fin-wait-2": 1, "listening": 1, acceptQueue: 1, acceptBacklog: 5, rangeUsed: 0.25,
	}))
	g.Expect(read("8081")).To(HaveEach(0.0))
}

func TestNamesOfSockets(t *testing.T) {
	g := NewWithT(t)
	for _, key := range []string{"time-wait", acceptQueue, acceptBacklog, rangeUsed} {
		_, err := socketsKey(key)
		g.Expect(err).NotTo(HaveOccurred(), key)
	}
	_, err := socketsKey("TIME_WAIT")
	g.Expect(err).To(MatchError(ContainSubstring("must be one of close-wait, closing, established")))
}
