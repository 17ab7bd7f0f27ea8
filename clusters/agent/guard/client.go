// Package guard is both ends of the process that outlives the harness. client.go runs in the harness and starts it; main.go and serve.go
// are the process: the host's agent, in a session of its own. It undoes its journal when the stream from the harness ends, also if the
// harness was killed.
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

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// closeLimit is how long the guard may take to undo its journal, beside the limits of the records in it.
const closeLimit = 30 * time.Second

// Guard is the harness's end of its guard.
type Guard struct {
	conn  *agent.Conn
	cmd   *exec.Cmd
	log   string
	state *runstate.Run
	ended chan error

	mu    sync.Mutex
	limit time.Duration
}

// Start starts the guard of a run: relapse-agent at the path agentProgram, with its standard error in logFile. When Start returns, the guard
// has joined the run; nothing may be changed before that.
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

// Remember writes the records to the guard's journal: how to undo what the harness does next. The last record is undone first, and all of
// them before those that were remembered earlier.
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

// Undo asks the guard to undo now what was remembered under that name. What could not be undone stays remembered.
func (g *Guard) Undo(ctx context.Context, what string) error {
	_, err := undoNow.Call(ctx, g.conn, what, nil)
	return err
}

// Forget removes what was remembered under that name from the journal: what was made stays when the run ends.
func (g *Guard) Forget(ctx context.Context, what string) error {
	_, err := forget.Call(ctx, g.conn, what, nil)
	return err
}

// Close ends the stream, and waits until the guard has undone its journal.
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
		return fmt.Errorf("host's agent: process %d did not undo its changes within %s; run relapse clean when it has ended", g.cmd.Process.Pid, g.limit)
	}
}
