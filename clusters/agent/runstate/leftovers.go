package runstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Processes returns the processes of a run, without the calling one: those that were started with the run's id in their
// environment.
func Processes(id string) ([]procs.Process, error) {
	all, err := procs.WithEnv(EnvRun, EnvDir, EnvHarness)
	if err != nil {
		return nil, err
	}
	var own []procs.Process
	for _, p := range all {
		if p.Env[EnvRun] == id && p.PID != os.Getpid() {
			own = append(own, p)
		}
	}
	return own, nil
}

// killTimeout is how long processes may take to end after SIGKILL. The system call that removes a table of conntrack entries is not
// interrupted, and a kernel runs one at a time: with four full tables and a busy machine that has taken more than 5 seconds.
const killTimeout = time.Minute

// endProcesses kills the processes of a run until none is left: a process may start another while it is being killed. It returns the
// killed processes.
func endProcesses(ctx context.Context, id string) ([]procs.Process, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	var ended []procs.Process
	for {
		left, err := Processes(id)
		if err != nil || len(left) == 0 {
			return ended, err
		}
		errs := make([]error, len(left))
		var all sync.WaitGroup
		for i, p := range left { // side by side: one that takes its time must not use up that of the others
			all.Go(func() { errs[i] = p.Kill(ctx) })
		}
		all.Wait()
		for i, p := range left {
			if errs[i] != nil {
				errs[i] = fmt.Errorf("end %s: %w", p, errs[i])
				continue
			}
			ended = append(ended, p)
		}
		if err := errors.Join(errs...); err != nil {
			return ended, err
		}
		if err := ctx.Err(); err != nil {
			return ended, fmt.Errorf("processes of run %s keep starting: %w", id, err)
		}
	}
}

// waitProcesses waits until all processes of a run have ended, or ctx ends.
func waitProcesses(ctx context.Context, id string) error {
	for {
		left, err := Processes(id)
		if err != nil || len(left) == 0 {
			return err
		}
		for _, p := range left {
			h, err := p.Open()
			if procs.Gone(err) {
				continue
			}
			if err != nil {
				return err
			}
			err = h.Wait(ctx)
			_ = h.Close()
			if err != nil {
				return err
			}
		}
	}
}

// orphan says whether a process belongs to a dead run without a folder: its harness has ended, and no state folder has the run. Processes
// of containers are ignored, because their pids and paths have another meaning here.
func orphan(p procs.Process, dir string) bool {
	here, err := procs.Pidns(0)
	if err != nil {
		return false
	}
	if there, err := procs.Pidns(p.PID); err != nil || there != here {
		return false
	}
	return abandoned(p.Env, dir)
}

func abandoned(env map[string]string, dir string) bool {
	if named := env[EnvDir]; named != "" {
		dir = named
	}
	folder := filepath.Join(dir, env[EnvRun])
	if !filepath.IsAbs(folder) || !ValidID(env[EnvRun]) {
		return false
	}
	// If the state folder still exists, its own clean handles the run.
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		return false
	}
	harness, ok := parseHarness(env[EnvHarness])
	return ok && !harness.Alive()
}

// envPidns is the inode of the harness's PID namespace; the pid is only valid there.
const envPidns = "RELAPSE_PIDNS"

// Ownership is the label that names the owner of things that outlive processes.
func (r *Run) Ownership() map[string]string {
	owner := map[string]string{}
	for _, pair := range r.Env() {
		name, value, _ := strings.Cut(pair, "=")
		owner[name] = value
	}
	if here, err := ownPidns(); err == nil {
		owner[envPidns] = here
	}
	return owner
}

// Self is the part of an ownership that a process knows without a run folder.
func Self() (map[string]string, error) {
	self, err := procs.Self()
	if err != nil {
		return nil, err
	}
	here, err := ownPidns()
	return map[string]string{EnvHarness: formatHarness(self), envPidns: here}, err
}

// Lives says whether the harness of the owner is alive. A harness in another PID namespace counts as alive.
func Lives(owner map[string]string) bool {
	if !isHere(owner) {
		return true
	}
	harness, ok := parseHarness(owner[EnvHarness])
	return ok && harness.Alive()
}

// ownPidns is the inode of this process's PID namespace, in decimal.
func ownPidns() (string, error) {
	here, err := procs.Pidns(0)
	return strconv.FormatUint(here, 10), err
}

// isHere says whether the pid in an ownership belongs to this PID namespace.
func isHere(owner map[string]string) bool {
	here, err := ownPidns()
	return err == nil && owner[envPidns] == here
}

// Abandoned says whether the owner is a dead run without a folder. For owners in other PID namespaces it is false, because nothing is
// known of them.
func Abandoned(owner map[string]string) bool {
	return isHere(owner) && owner[EnvDir] != "" && abandoned(owner, "")
}

// formatHarness is the form of a harness in environments and labels; parseHarness reads it.
func formatHarness(id procs.ID) string { return fmt.Sprintf("%d/%d", id.PID, id.Start) }

func parseHarness(text string) (procs.ID, bool) {
	pid, start, ok := strings.Cut(text, "/")
	if !ok {
		return procs.ID{}, false
	}
	number, err := strconv.Atoi(pid)
	if err != nil {
		return procs.ID{}, false
	}
	ticks, err := strconv.ParseUint(start, 10, 64)
	return procs.ID{PID: number, Start: ticks}, err == nil
}
