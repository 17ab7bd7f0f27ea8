package probes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Echo sends a line over one TCP connection, opened at the first attempt and kept, and waits until it comes back. A
// connection that broke is not opened again: what lived before the fault is what the probe is about.
type Echo struct {
	// To is host:port of a server that sends back what it gets.
	To string `json:"to"`

	mu   sync.Mutex
	conn net.Conn
	sent int
}

// Validate checks the form of the address.
func (p *Echo) Validate() error {
	return hostPort(p.To)
}

// Attempt sends a line and waits for it.
func (p *Echo) Attempt(ctx context.Context, _ int) (Outcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		// Between phases the connection is idle; keep-alives say that it lives, as those of a careful program do.
		dialer := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}}
		conn, err := dialer.DialContext(ctx, "tcp", p.To)
		if err != nil {
			return Outcome{}, err
		}
		p.conn = conn
	}
	p.sent++
	line := fmt.Sprintf("relapse %d\n", p.sent)
	deadline, _ := ctx.Deadline()
	answer := make([]byte, len(line))
	err1 := p.conn.SetDeadline(deadline)
	_, err2 := io.WriteString(p.conn, line)
	_, err3 := io.ReadFull(p.conn, answer)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Outcome{}, err
	}
	if string(answer) != line {
		return Outcome{}, fmt.Errorf("sent %q, got %q", line, answer)
	}
	return Outcome{Seen: p.conn.LocalAddr().String() + " > " + p.conn.RemoteAddr().String()}, nil
}

// Close closes the connection.
func (p *Echo) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return nil
	}
	return p.conn.Close()
}
