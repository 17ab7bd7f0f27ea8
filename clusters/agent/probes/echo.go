package probes

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Echo sends a line over one TCP connection, opened at the first attempt and kept, and waits until the server sends it back. A broken
// connection is not opened again: the probe is about connections from before the fault.
type Echo struct {
	// To is host:port of an echo server.
	To string `json:"to"`

	mu   sync.Mutex
	conn net.Conn
	sent int
	// due is what was sent and has not come back yet. After an attempt that timed out, its line comes back first.
	due string
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
		// Between phases the connection is idle; keep-alives check it, as in careful programs.
		dialer := dialer()
		dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}
		conn, err := dialer.DialContext(ctx, "tcp", p.To)
		if err != nil {
			return Outcome{}, err
		}
		p.conn = conn
	}
	p.sent++
	var outcome Outcome
	outcome.from(p.conn)
	if err := p.exchange(ctx, fmt.Sprintf("relapse %d\n", p.sent)); err != nil {
		return outcome, err
	}
	outcome.Seen = p.conn.LocalAddr().String() + " > " + p.conn.RemoteAddr().String()
	return outcome, nil
}

// exchange sends a line and waits for all that is due, of which the line is the last.
func (p *Echo) exchange(ctx context.Context, line string) error {
	defer bound(ctx, p.conn)()
	n, err := io.WriteString(p.conn, line)
	p.due += line[:n]
	if err != nil {
		return err
	}
	answer := make([]byte, len(p.due))
	n, err = io.ReadFull(p.conn, answer)
	if got := string(answer[:n]); !strings.HasPrefix(p.due, got) {
		return fmt.Errorf("%q was due, got %q", p.due, got)
	}
	p.due = p.due[n:]
	return err
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
