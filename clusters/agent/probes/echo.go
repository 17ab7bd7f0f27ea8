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

// Echo sends a line over one TCP connection, opened at the first attempt and kept, and waits until the server sends it back. The probe is
// about connections from before the fault: without reopen, a broken connection is not opened again. Attempts do not wait for each other:
// on a busy machine they would add up.
type Echo struct {
	// To is host:port of an echo server. In place of a host there may be a node or pod, for its own address: node/node-1:30080, pod/web:8080.
	To string `json:"to" ref:"address"`
	// Reopen is true if an attempt that fails closes the connection, so that the next one opens another, as most programs do.
	Reopen bool `json:"reopen,omitempty"`

	mu   sync.Mutex
	kept *echoes
	sent int
}

// echoes is a connection.
type echoes struct {
	net.Conn
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
	if err == nil {
		err = p.wait(ctx, conn, line, came)
	}
	if err != nil && p.Reopen {
		p.drop(conn)
	}
	return outcome, err
}

// send sends the next line and returns where its return is told. The connection is nil if there is none.
func (p *Echo) send(ctx context.Context) (conn *echoes, line string, came chan error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		// Between phases the connection is idle; keep-alives check it, as in careful programs.
		dialer := dialer()
		dialer.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second}
		opened, err := dialer.DialContext(ctx, "tcp", p.To)
		if err != nil {
			return nil, "", nil, err
		}
		p.kept = &echoes{Conn: opened, due: map[string]chan error{}}
		go p.read(p.kept)
	}
	conn = p.kept
	if conn.broken != nil {
		return conn, "", nil, conn.broken
	}
	p.sent++
	line, came = fmt.Sprintf("relapse %d\n", p.sent), make(chan error, 1)
	conn.due[line] = came
	deadline, _ := ctx.Deadline()
	if err = conn.SetWriteDeadline(deadline); err == nil {
		_, err = io.WriteString(conn, line)
	}
	if err != nil {
		delete(conn.due, line)
	}
	return conn, line, came, err
}

// wait waits for a line.
func (p *Echo) wait(ctx context.Context, conn *echoes, line string, came chan error) error {
	select {
	case err := <-came:
		return err
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		if _, still := conn.due[line]; still {
			conn.due[line] = nil
		}
		return &net.OpError{Op: "read", Net: "tcp", Source: conn.LocalAddr(), Addr: conn.RemoteAddr(), Err: os.ErrDeadlineExceeded}
	}
}

// read tells the attempts that their lines have come, until the connection ends.
func (p *Echo) read(conn *echoes) {
	for answers := bufio.NewReader(conn); ; {
		line, err := answers.ReadSlice('\n') // no longer than the buffer, whatever the server sends
		if !p.tell(conn, string(line), err) {
			return
		}
	}
}

// tell tells an attempt that its line has come, or all of them that nothing more will. It is false then.
func (p *Echo) tell(conn *echoes, line string, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	came, due := conn.due[line]
	if err == nil && !due {
		err = fmt.Errorf("the server sent %q, which was not due", short(line))
	}
	if err == nil {
		delete(conn.due, line)
		if came != nil {
			came <- nil
		}
		return true
	}
	conn.broken = err
	for _, came := range conn.due {
		if came != nil {
			came <- err
		}
	}
	return false
}

// drop closes a connection, unless another attempt has done so.
func (p *Echo) drop(conn *echoes) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == conn {
		p.kept = nil
		conn.Close()
	}
}

// Close closes the connection.
func (p *Echo) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil {
		return nil
	}
	return p.kept.Close()
}
