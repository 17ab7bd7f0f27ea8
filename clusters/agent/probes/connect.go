package probes

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// Connect opens a new TCP connection and closes it again.
type Connect struct {
	// To is host:port. In place of a host there may be a node or pod, for its own address: node/node-1:30080, pod/web:8080.
	To string `json:"to" ref:"address"`
	// SourcePort, if given, is the first of 10000 source ports, one for each attempt: two probes with the same sourcePort use the same ports
	// at the same time. Default: a port from 60001, each time another one.
	SourcePort int `json:"sourcePort,omitempty" jsonschema:"minimum=1024,maximum=55000"`
	// Denied is for what must not be reachable: an attempt fails if the connection opens, and is well if it does not.
	Denied bool `json:"denied,omitempty"`
	// Ephemeral leaves the choice of the source port to the kernel, which takes one from net.ipv4.ip_local_port_range as for most programs.
	// It is for failures that come from this choice.
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// errOpened is the failure of what must not be reachable.
var errOpened = errors.New("the connection opened")

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
	if err != nil && p.Denied {
		outcome.Seen = err.Error()
		return outcome, nil
	}
	if err != nil {
		return outcome, err
	}
	outcome.from(conn)
	outcome.Seen = conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()
	if err := conn.Close(); err != nil || !p.Denied {
		return outcome, err
	}
	return outcome, errOpened
}

// reuseAddress allows a port that an earlier connection has left in TIME_WAIT.
func reuseAddress(_ context.Context, _, _ string, conn syscall.RawConn) error {
	return onSocket(conn, func(fd int) error { return syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1) })
}

// Close has nothing to close.
func (p *Connect) Close() error { return nil }
