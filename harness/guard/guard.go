// Package guard starts the process that outlives the harness: the host's agent, in a session of its own, which undoes its journal
// when the stream to it breaks, whatever has become of the harness.
package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// closeLimit is how long the guard may take to put the host in order, beside the time that the records it remembers have for themselves.
const closeLimit = 30 * time.Second

// Guard is the harness's hold on its guard.
type Guard struct {
	conn  *agent.Conn
	cmd   *exec.Cmd
	log   string
	state *runstate.Run
	ended chan error

	mu    sync.Mutex
	limit time.Duration
}

// Start starts the guard of a run: relapse-agent at the path agentProgram. What it says goes to logFile. When Start returns, the guard has
// joined the run; before that nothing may be changed.
func Start(ctx context.Context, agentProgram, logFile string, state *runstate.Run) (*Guard, error) {
	g := &Guard{cmd: exec.Command(agentProgram, "host", state.ID), ended: make(chan error, 1), log: logFile, state: state, limit: closeLimit}
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	g.cmd.Env = append(os.Environ(), state.Env()...)
	stdin, err1 := g.cmd.StdinPipe()
	stdout, err2 := g.cmd.StdoutPipe()
	log, err3 := os.Create(logFile)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("host's agent: %w", err)
	}
	defer log.Close()
	g.cmd.Stderr = log
	if err := g.cmd.Start(); err != nil {
		return nil, fmt.Errorf("host's agent: %w", err)
	}
	g.conn = agent.NewConn("host", stdout, stdin)
	go func() {
		<-g.conn.Gone()
		g.ended <- g.cmd.Wait()
	}()
	// It has joined the run when it answers.
	if err := g.Remember(ctx, "nothing"); err != nil {
		return nil, errors.Join(fmt.Errorf("host's agent: %w", err), g.Close())
	}
	return g, nil
}

// Conn is the stream to the host's agent.
func (g *Guard) Conn() *agent.Conn { return g.conn }

// State of the run that is guarded.
func (g *Guard) State() *runstate.Run { return g.state }

// Remember writes the records to the guard's journal. It is for what the harness is about to do itself, and must return before that is
// done. The last record is undone first, and all of them before what was remembered earlier.
func (g *Guard) Remember(ctx context.Context, what string, records ...undo.Record) error {
	_, err := remember.Call(ctx, g.conn, memory{What: what, Records: records}, nil)
	if err == nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, r := range records {
			g.limit += max(r.Limit(), undo.DefaultTimeout)
		}
	}
	return err
}

// Undo has the guard undo now what was remembered under that name. What could not be undone stays remembered.
func (g *Guard) Undo(ctx context.Context, what string) error {
	_, err := undoNow.Call(ctx, g.conn, what, nil)
	return err
}

// Forget strikes what was remembered under that name: what was made stays when the run ends.
func (g *Guard) Forget(ctx context.Context, what string) error {
	_, err := forget.Call(ctx, g.conn, what, nil)
	return err
}

// Close ends the stream, upon which the guard puts the host in order, and waits for that.
func (g *Guard) Close() error {
	_ = g.conn.Close() // it may be gone already
	g.mu.Lock()
	limit := time.NewTimer(g.limit)
	g.mu.Unlock()
	defer limit.Stop()
	select {
	case err := <-g.ended:
		if err != nil {
			text, _ := os.ReadFile(g.log)
			return fmt.Errorf("host's agent: %w\n%s", err, text)
		}
		return nil
	case <-limit.C:
		return fmt.Errorf("host's agent: process %d did not put the host in order within %s; relapse clean does when it has ended", g.cmd.Process.Pid, g.limit)
	}
}
