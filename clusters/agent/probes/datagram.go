package probes

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Datagram sends a datagram over UDP and waits until the server sends it back. With one socket for all attempts, they are one flow for
// conntrack.
type Datagram struct {
	// To is host:port of an echo server. In place of a host there may be a node or pod, for its own address: node/node-1:30080, pod/web:8080.
	To string `json:"to" ref:"address"`
	// Socket is kept if all attempts use one socket, and so one source port, or new if each attempt opens its own.
	Socket string `json:"socket" jsonschema:"enum=kept,enum=new"`

	// sent numbers the datagrams, so that none is taken for another's.
	sent atomic.Int64
	// mu is held by an attempt that uses the kept socket.
	mu   sync.Mutex
	conn net.Conn
	// port of conn, for those who must not wait for an attempt.
	port atomic.Uint32
}

// keptSocket is the setting of a probe that keeps its socket.
const keptSocket = "kept"

// Validate checks the form of the address.
func (p *Datagram) Validate() error {
	return hostPort(p.To)
}

// Attempt sends a datagram and waits for it; over a kept socket, after those before it.
func (p *Datagram) Attempt(ctx context.Context, _ int) (Outcome, error) {
	if p.Socket != keptSocket {
		conn, err := p.open(ctx)
		if err != nil {
			return Outcome{}, err
		}
		defer conn.Close()
		return p.exchange(ctx, conn)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		conn, err := p.open(ctx)
		if err != nil {
			return Outcome{}, err
		}
		p.conn = conn
		p.port.Store(uint32(conn.LocalAddr().(*net.UDPAddr).Port))
	}
	return p.exchange(ctx, p.conn)
}

// open connects the socket, so that the kernel reports ICMP errors.
func (p *Datagram) open(ctx context.Context) (net.Conn, error) {
	dialer := dialer()
	return dialer.DialContext(ctx, "udp", p.To)
}

// exchange leaves out what comes late for earlier attempts: answers, and an ICMP error that has come by now.
func (p *Datagram) exchange(ctx context.Context, conn net.Conn) (Outcome, error) {
	outcome := Outcome{Seen: conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()}
	text := fmt.Sprintf("relapse %d", p.sent.Add(1))
	defer bound(ctx, conn)()
	if err := dropError(conn); err != nil {
		return outcome, err
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		return outcome, err
	}
	answer := make([]byte, 100)
	for {
		n, err := conn.Read(answer)
		if err != nil || string(answer[:n]) == text {
			return outcome, err
		}
	}
}

// dropError reads a socket's pending error, which clears it (man 7 socket, SO_ERROR).
func dropError(conn net.Conn) error {
	raw, err := conn.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	return onSocket(raw, func(fd int) error {
		_, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		return err
	})
}

// Renewed returns a probe with the same settings and a new socket.
func (p *Datagram) Renewed() Probe { return &Datagram{To: p.To, Socket: p.Socket} }

// Port is the source port of the socket, or 0 while there is none.
func (p *Datagram) Port() uint16 { return uint16(p.port.Load()) }

// Close closes the socket.
func (p *Datagram) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil
	}
	err := p.conn.Close()
	p.conn = nil
	p.port.Store(0)
	return err
}
