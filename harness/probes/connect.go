package probes

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// Connect opens a new TCP connection and closes it again.
type Connect struct {
	// To is host:port.
	To string `json:"to"`
	// SourcePort, where given, is the first of 10000 source ports, of which each attempt takes its own: two probes with the same
	// one use the same ports at the same time. Default: the kernel's own choice.
	SourcePort int `json:"sourcePort,omitempty" jsonschema:"minimum=1024,maximum=55000"`
}

// Validate checks the form of the address.
func (p *Connect) Validate() error {
	return hostPort(p.To)
}

// Attempt connects.
func (p *Connect) Attempt(ctx context.Context, number int) (Outcome, error) {
	var dialer net.Dialer
	if p.SourcePort > 0 {
		dialer.LocalAddr = &net.TCPAddr{Port: ownPort(p.SourcePort, number)}
		dialer.Control = reuseAddress
	}
	conn, err := dialer.DialContext(ctx, "tcp", p.To)
	if err != nil {
		return Outcome{}, err
	}
	seen := conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()
	return Outcome{Seen: seen}, conn.Close()
}

// reuseAddress lets a port be used that an earlier connection has left in TIME_WAIT.
func reuseAddress(_, _ string, conn syscall.RawConn) error {
	var set error
	err := conn.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
	return errors.Join(err, set)
}

// Close has nothing to end.
func (p *Connect) Close() error { return nil }
