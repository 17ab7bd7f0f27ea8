package probes

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// Echo sends a line over one TCP connection, opened at the first attempt and kept, and waits until the server sends it back. A broken
// connection is not opened again: the probe is about connections from before the fault. Attempts do not wait for each other: on a busy
// machine they would add up.
type Echo struct {
	// To is host:port of an echo server.
	To string `json:"to"`

	mu   sync.Mutex
	conn net.Conn
	sent int
	// due are the attempts that wait for their line, by the line; nil for those that have timed out, whose lines may still come.
	due map[string]chan error
	// broken is why nothing more can be read.
	broken error
}

// Validate checks the form of the address.
func (p *Echo) Validate() error {
	return hostPort(p.To)
}

// Attempt sends a line and waits for it.
func (p *Echo) Attempt(ctx context.Context, _ int) (Outcome, error) {
	conn, line, came, err := p.send(ctx)
	if conn == nil {
		return Outcome{}, err
	}
	outcome := Outcome{Seen: conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()}
	outcome.from(conn)
	if err != nil {
		return outcome, err
	}
	select {
	case err := <-came:
		return outcome, err
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, still := p.due[line]; still {
			p.due[line] = nil
		}
		return outcome, &net.OpError{Op: "read", Net: "tcp", Source: conn.LocalAddr(), Addr: conn.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
}

// send sends the next line and returns where its return is told. The connection is nil if there is none.
func (p *Echo) send(ctx context.Context) (conn net.Conn, line string, came chan error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		// Between phases the connection is idle; keep-alives check it, as in careful programs.
		dialer := dialer()
		dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}
		if p.conn, err = dialer.DialContext(ctx, "tcp", p.To); err != nil {
			return nil, "", nil, err
		}
		p.due = map[string]chan error{}
		go p.read(p.conn)
	}
	if p.broken != nil {
		return p.conn, "", nil, p.broken
	}
	p.sent++
	line, came = fmt.Sprintf("relapse %d\n", p.sent), make(chan error, 1)
	p.due[line] = came
	deadline, _ := ctx.Deadline()
	if err = p.conn.SetWriteDeadline(deadline); err == nil {
		_, err = io.WriteString(p.conn, line)
	}
	if err != nil {
		delete(p.due, line)
	}
	return p.conn, line, came, err
}

// read tells the attempts that their lines have come, until the connection ends.
func (p *Echo) read(conn net.Conn) {
	for answers := bufio.NewReader(conn); ; {
		line, err := answers.ReadSlice('\n') // no longer than the buffer, whatever the server sends
		if !p.tell(string(line), err) {
			return
		}
	}
}

// tell tells an attempt that its line has come, or all of them that nothing more will. It is false then.
func (p *Echo) tell(line string, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	came, due := p.due[line]
	if err == nil && !due {
		err = fmt.Errorf("the server sent %q, which was not due", short(line))
	}
	if err == nil {
		delete(p.due, line)
		if came != nil {
			came <- nil
		}
		return true
	}
	p.broken = err
	for _, came := range p.due {
		if came != nil {
			came <- err
		}
	}
	return false
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
