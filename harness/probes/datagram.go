package probes

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Datagram sends a datagram over UDP and waits until it comes back, attempt after attempt. With one socket for all of them, all
// are one flow to whoever keeps track of flows.
type Datagram struct {
	// To is host:port of a server that sends back what it gets.
	To string `json:"to"`
	// Socket is kept where all attempts use one socket, and so one source port, or new where each opens its own.
	Socket string `json:"socket" jsonschema:"enum=kept,enum=new"`

	mu   sync.Mutex
	conn net.Conn
	sent int
}

// keptSocket is the setting of a probe that keeps its socket.
const keptSocket = "kept"

// Validate checks the form of the address.
func (p *Datagram) Validate() error {
	return hostPort(p.To)
}

// Attempt sends a datagram and waits for it, after those before it.
func (p *Datagram) Attempt(ctx context.Context, _ int) (Outcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		// Connected, so that the kernel passes on an ICMP error that comes back.
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", p.To)
		if err != nil {
			return Outcome{}, err
		}
		p.conn = conn
	}
	outcome := Outcome{Seen: p.conn.LocalAddr().String() + " > " + p.conn.RemoteAddr().String()}
	p.sent++
	err := p.exchange(ctx, fmt.Sprintf("relapse %d", p.sent))
	if p.Socket != keptSocket {
		err = errors.Join(err, p.close())
	}
	return outcome, err
}

// exchange leaves out answers to earlier attempts, which come late.
func (p *Datagram) exchange(ctx context.Context, text string) error {
	deadline, _ := ctx.Deadline()
	if err := p.conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := p.conn.Write([]byte(text)); err != nil {
		return err
	}
	answer := make([]byte, 100)
	for {
		n, err := p.conn.Read(answer)
		if err != nil || string(answer[:n]) == text {
			return err
		}
	}
}

// Renewed is a probe with the same settings and a socket of its own.
func (p *Datagram) Renewed() Probe { return &Datagram{To: p.To, Socket: p.Socket} }

// Close closes the socket.
func (p *Datagram) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.close()
}

func (p *Datagram) close() error {
	if p.conn == nil {
		return nil
	}
	err := p.conn.Close()
	p.conn = nil
	return err
}
