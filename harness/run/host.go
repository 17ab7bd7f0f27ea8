package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/fingerprint"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/readers"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/runstate"
)

// host is the agent for what belongs to the whole machine. It is the guard as well: in a session of its own it outlives the
// harness and undoes its journal.
type host struct {
	conn  *agent.Conn
	cmd   *exec.Cmd
	log   string
	ended chan error
}

func (e *engine) startHost(ctx context.Context) (*host, error) {
	h := &host{cmd: exec.Command(e.Agent, "host", e.state.ID), ended: make(chan error, 1), log: filepath.Join(e.dir, rundir.EvidenceDir, "logs", "host.log")}
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	h.cmd.Env = append(os.Environ(), e.state.Env()...)
	stdin, err1 := h.cmd.StdinPipe()
	stdout, err2 := h.cmd.StdoutPipe()
	log, err3 := os.Create(h.log)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("host's agent: %w", err)
	}
	defer log.Close()
	h.cmd.Stderr = log
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("host's agent: %w", err)
	}
	h.conn = agent.NewConn("host", stdout, stdin)
	go func() {
		<-h.conn.Gone()
		h.ended <- h.cmd.Wait()
	}()
	// It has joined the run when it answers; before that nothing may be changed.
	if _, err := readers.Read.Call(ctx, h.conn, "nothing", nil); errors.Is(err, agent.ErrGone) {
		return nil, errors.Join(fmt.Errorf("host's agent: %w", err), h.close())
	}
	return h, nil
}

// close ends the stream, upon which the guard puts the host in order, and waits for that.
func (h *host) close() error {
	_ = h.conn.Close() // it may be gone already
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-h.ended:
		if err != nil {
			text, _ := os.ReadFile(h.log)
			return fmt.Errorf("host's agent: %w\n%s", err, text)
		}
		return nil
	case <-limit.C:
		return fmt.Errorf("host's agent: process %d did not put the host in order within %s; relapse clean does when it has ended", h.cmd.Process.Pid, closeLimit)
	}
}

// followKernelLog writes down the lines of the kernel log that are known, until the returned function is called.
func (e *engine) followKernelLog(ctx context.Context) (stop func()) {
	if !e.run.Offers["kernel-log"].OK {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := readers.FollowKernelLog.Call(ctx, e.host.conn, agent.None{}, func(line readers.KernelLine) {
			e.history.Add(history.Event{Kind: history.KindLog, Log: &history.Log{
				Source: "kernel", On: "host", Line: line.Line, Event: line.Event, Netns: line.Netns,
			}})
		})
		if err != nil && ctx.Err() == nil {
			e.history.Add(history.Event{Kind: history.KindNote, Text: err.Error()})
		}
	}()
	return func() { cancel(); <-done }
}

// follow writes down what the lane's cluster says, until the returned function is called.
func (l *lane) follow(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := l.site.Cluster.Follow(ctx, func(line history.Log) {
			l.history.Add(history.Event{Lane: l.name, Kind: history.KindLog, Log: &line})
		})
		if err != nil && ctx.Err() == nil {
			l.history.Add(history.Event{Lane: l.name, Kind: history.KindError, Text: err.Error()})
		}
	}()
	return func() { cancel(); <-done }
}

func (e *engine) fingerprint(ctx context.Context, conn *agent.Conn, whole bool) (fingerprint.Fingerprint, error) {
	dir, err := runstate.Dir()
	if err != nil {
		return fingerprint.Fingerprint{}, err
	}
	return readers.TakeFingerprint.Call(ctx, conn, fingerprint.Options{Run: e.state.ID, Host: whole, StateDir: dir}, nil)
}

// compare takes another fingerprint and writes down how it differs.
func (e *engine) compare(ctx context.Context, conn *agent.Conn, lane, on string, before fingerprint.Fingerprint, whole bool) {
	after, err := e.fingerprint(context.WithoutCancel(ctx), conn, whole)
	if err != nil {
		e.history.Add(history.Event{Lane: lane, Kind: history.KindError, Text: err.Error()})
		return
	}
	differences := fingerprint.Diff(before, after)
	if lane != "" {
		// kube-proxy in iptables mode writes the rules of Services, which exclude each other, in an order of its own every time.
		differences = slices.DeleteFunc(differences, func(d string) bool { return strings.HasSuffix(d, "the same lines in another order") })
	}
	e.history.Add(history.Event{Lane: lane, Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: on, Differences: differences}})
}
