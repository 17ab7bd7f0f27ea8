package run

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/logs"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/harness/history"
)

// watchGuard ends the run when its guard has ended, until the returned function is called: without a guard nothing may stay changed.
func (e *engine) watchGuard(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-e.host.Conn().Gone():
			err := errors.New("the guard of this run, its host's agent, has ended; nobody would undo the run's changes")
			e.history.Add(history.Event{Kind: history.KindError, Text: err.Error()})
			e.abort(err)
		case <-ctx.Done():
		}
	}()
	return func() { cancel(); <-done }
}

// followKernelLog writes down the lines of the kernel log that are known, until the returned function is called.
func (e *engine) followKernelLog(ctx context.Context) (stop func()) {
	if !e.facts.Offers["kernel-log"].OK {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := readers.FollowKernelLog.Call(ctx, e.host.Conn(), agent.None{}, func(line readers.KernelLine) {
			e.history.Add(history.Event{Kind: history.KindLog, Log: &logs.Line{
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
		err := l.site.Cluster.Follow(ctx, func(line logs.Line) {
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
func (e *engine) compare(ctx context.Context, conn *agent.Conn, lane, on string, before fingerprint.Fingerprint, whole bool, explained func(string) bool) {
	after, err := e.fingerprint(context.WithoutCancel(ctx), conn, whole)
	if err != nil {
		e.history.Add(history.Event{Lane: lane, Kind: history.KindError, Text: err.Error()})
		return
	}
	differences := fingerprint.Diff(before, after)
	if lane != "" {
		// kube-proxy in iptables mode writes the rules of Services, which exclude each other, in an order of its own every time.
		differences = slices.DeleteFunc(differences, func(d string) bool { return strings.HasSuffix(d, "the same lines in another order") || explained(d) })
	}
	e.history.Add(history.Event{Lane: lane, Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: on, Differences: differences}})
}

// renewed splits off the differences that come of pods of the system that were replaced by their controllers, which it notes, or of other
// lanes.
func (l *lane) renewed(ctx context.Context) func(difference string) bool {
	cluster, ok := l.site.Cluster.(clusters.Renewed)
	if !ok {
		return func(string) bool { return false }
	}
	what, follows, err := cluster.Renewed(ctx)
	if err != nil {
		l.add(history.Event{Kind: history.KindError, Text: err.Error()})
	}
	if follows == nil || err != nil {
		return func(string) bool { return false }
	}
	if what != "" {
		l.add(history.Event{Kind: history.KindNote, Text: what})
	}
	return follows
}
