package probes

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

func TestSession(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	const pause = units.Duration(50 * time.Millisecond)
	for name, c := range map[string]struct {
		probe  *Session
		server func(g Gomega, conn *net.TCPConn, lines *bufio.Reader)
		want   string
	}{
		"one line": {&Session{}, func(g Gomega, conn *net.TCPConn, lines *bufio.Reader) {
			g.Expect(io.WriteString(conn, read(g, lines))).Error().NotTo(HaveOccurred())
		}, ""},
		"a pause": {&Session{Idle: pause}, func(g Gomega, conn *net.TCPConn, lines *bufio.Reader) {
			g.Expect(io.WriteString(conn, read(g, lines))).Error().NotTo(HaveOccurred())
			start := time.Now()
			g.Expect(io.WriteString(conn, read(g, lines))).Error().NotTo(HaveOccurred())
			g.Expect(time.Since(start)).To(BeNumerically(">=", pause.Std()))
		}, ""},
		"the server leaves in the pause": {&Session{Idle: pause}, func(g Gomega, conn *net.TCPConn, lines *bufio.Reader) {
			g.Expect(io.WriteString(conn, read(g, lines))).Error().NotTo(HaveOccurred())
			g.Expect(conn.SetLinger(0)).To(Succeed())
			g.Expect(conn.Close()).To(Succeed())
		}, "reset by peer"},
		"a closed side": {&Session{HalfClose: true}, func(g Gomega, conn *net.TCPConn, lines *bufio.Reader) {
			line := read(g, lines)
			_, err := lines.ReadByte()
			g.Expect(err).To(MatchError(io.EOF))
			g.Expect(io.WriteString(conn, line)).Error().NotTo(HaveOccurred())
		}, ""},
		"another line": {&Session{}, func(g Gomega, conn *net.TCPConn, lines *bufio.Reader) {
			read(g, lines)
			g.Expect(io.WriteString(conn, "relapse 7\n")).Error().NotTo(HaveOccurred())
		}, `the server sent "relapse 7\n", which was not due`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			listener, err := net.Listen("tcp4", "127.0.0.1:0")
			g.Expect(err).NotTo(HaveOccurred())
			defer listener.Close()
			served := make(chan struct{})
			go func() {
				defer close(served)
				conn, err := listener.Accept()
				g.Expect(err).NotTo(HaveOccurred())
				defer conn.Close()
				c.server(g, conn.(*net.TCPConn), bufio.NewReader(conn))
			}()
			p := c.probe
			p.To = listener.Addr().String()
			sample := attempt(t.Context(), p, 0, 10*time.Second)
			if c.want == "" {
				g.Expect(sample.Error).To(BeEmpty())
			} else {
				g.Expect(sample.Error).To(ContainSubstring(c.want))
			}
			<-served
		})
	}
}

func read(g Gomega, lines *bufio.Reader) string {
	line, err := lines.ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())
	return line
}

func TestASessionsSocketHasItsSettings(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	g := NewWithT(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	defer listener.Close()
	p := &Session{To: listener.Addr().String(), KeepAlive: true, UserTimeout: units.Duration(3 * time.Second)}
	dialer := dialer()
	dialer.KeepAlive, dialer.ControlContext = -1, p.control
	opened, err := dialer.DialContext(t.Context(), "tcp", p.To)
	g.Expect(err).NotTo(HaveOccurred())
	defer opened.Close()
	g.Expect(p.keepAlive(opened.(*net.TCPConn))).To(Succeed())
	raw, err := opened.(*net.TCPConn).SyscallConn()
	g.Expect(err).NotTo(HaveOccurred())
	for option, want := range map[[2]int]int{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE}: 1, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}: 7200, {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT}: 3000,
	} {
		var got int
		g.Expect(onSocket(raw, func(fd int) (err error) { got, err = unix.GetsockoptInt(fd, option[0], option[1]); return err })).To(Succeed())
		g.Expect(got).To(Equal(want))
	}
}
