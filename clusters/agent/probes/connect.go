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
	// SourcePort, if given, is the first of 10000 source ports, one for each attempt: two probes with the same sourcePort use the same ports
	// at the same time. Default: a port from 60001, each time another one.
	SourcePort int `json:"sourcePort,omitempty" jsonschema:"minimum=1024,maximum=55000"`
	// Ephemeral leaves the choice of the source port to the kernel, which takes one from net.ipv4.ip_local_port_range as for most programs.
	// It is for failures that come from this choice.
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// Validate checks the form of the address.
func (p *Connect) Validate() error {
	if p.Ephemeral && p.SourcePort > 0 {
		return errors.New("sourcePort and ephemeral: give one of them")
	}
	return hostPort(p.To)
}

// Attempt connects.
func (p *Connect) Attempt(ctx context.Context, number int) (Outcome, error) {
	dialer := dialer()
	var outcome Outcome
	if p.Ephemeral {
		dialer.ControlContext = nil
	}
	if p.SourcePort > 0 {
		port := ownPort(p.SourcePort, number)
		dialer.LocalAddr = &net.TCPAddr{Port: port}
		dialer.ControlContext = reuseAddress
		outcome.Ports = [2]uint16{uint16(port), uint16(port)}
	}
	conn, err := dialer.DialContext(ctx, "tcp", p.To)
	if err != nil {
		return outcome, err
	}
	outcome.from(conn)
	outcome.Seen = conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()
	return outcome, conn.Close()
}

// reuseAddress allows a port that an earlier connection has left in TIME_WAIT.
func reuseAddress(_ context.Context, _, _ string, conn syscall.RawConn) error {
	return onSocket(conn, func(fd int) error { return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
}

// Close has nothing to close.
func (p *Connect) Close() error { return nil }
