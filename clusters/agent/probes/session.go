package probes

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Session opens a TCP connection for each attempt, sends a line to an echo server, and waits until it comes back. It is about what happens
// to a connection while nothing is sent: with idle, it sends a second line after a pause. Only the last line counts.
type Session struct {
	// To is host:port of an echo server. In place of a host there may be a node or pod, for its own address: node/node-1:30080, pod/web:8080.
	To string `json:"to" ref:"address"`
	// Idle is the pause after the first line has come back, before a second one is sent. Default: there is one line.
	Idle units.Duration `json:"idle,omitempty"`
	// HalfClose closes the client's side after the last line, so that only the server can still send, as nc -N and rsh do.
	HalfClose bool `json:"halfClose,omitempty"`
	// KeepAlive switches TCP keep-alives on. Their times are those of the pod: net.ipv4.tcp_keepalive_time and so on.
	KeepAlive bool `json:"keepAlive,omitempty"`
	// UserTimeout is TCP_USER_TIMEOUT: how long sent data may stay unacknowledged until the connection is given up. Default: the kernel's.
	UserTimeout units.Duration `json:"userTimeout,omitempty"`

	// sent numbers the lines, so that none is taken for another's.
	sent atomic.Int64
}

// Validate checks the form of the address.
func (p *Session) Validate() error { return hostPort(p.To) }

// Attempt opens a connection and sends the lines.
func (p *Session) Attempt(ctx context.Context, _ int) (Outcome, error) {
	dialer := dialer()
	dialer.KeepAlive = -1
	dialer.ControlContext = p.control
	opened, err := dialer.DialContext(ctx, "tcp", p.To)
	if err != nil {
		return Outcome{}, err
	}
	defer opened.Close()
	conn := opened.(*net.TCPConn)
	outcome := Outcome{Seen: conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()}
	outcome.from(conn)
	if err := p.keepAlive(conn); err != nil {
		return outcome, err
	}
	defer bound(ctx, conn)()
	answers := bufio.NewReader(conn)
	if p.Idle > 0 {
		if err := p.line(conn, answers, false); err != nil {
			return outcome, fmt.Errorf("before the pause: %w", err)
		}
		if err := wait(ctx, p.Idle.Std()); err != nil {
			return outcome, fmt.Errorf("in the pause of %s: %w", p.Idle, err)
		}
	}
	start := time.Now()
	err = p.line(conn, answers, p.HalfClose)
	outcome.Took = time.Since(start)
	return outcome, err
}

// line sends a line and reads it back.
func (p *Session) line(conn *net.TCPConn, answers *bufio.Reader, last bool) error {
	line := fmt.Sprintf("relapse %d\n", p.sent.Add(1))
	if _, err := io.WriteString(conn, line); err != nil {
		return err
	}
	if last {
		if err := conn.CloseWrite(); err != nil {
			return err
		}
	}
	answer, err := answers.ReadSlice('\n') // no longer than the buffer, whatever the server sends
	if err == nil && string(answer) != line {
		err = fmt.Errorf("the server sent %q, which was not due", short(string(answer)))
	}
	return err
}

// keepAlive leaves the times to the kernel, where Go has its own.
func (p *Session) keepAlive(conn *net.TCPConn) error {
	return conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: p.KeepAlive, Idle: -1, Interval: -1, Count: -1})
}

func (p *Session) control(ctx context.Context, network, address string, conn syscall.RawConn) error {
	if err := bindNext(ctx, network, address, conn); err != nil || p.UserTimeout == 0 {
		return err
	}
	return onSocket(conn, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(p.UserTimeout.Std().Milliseconds()))
	})
}

// Close has nothing to close.
func (p *Session) Close() error { return nil }
