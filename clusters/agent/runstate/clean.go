package runstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/crashsafe"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// CleanOptions are the options of Clean.
type CleanOptions struct {
	// DryRun means to say only what would be done.
	DryRun bool
}

// Report is the result of a clean.
type Report struct {
	// Alive are the runs that were not touched because their harness or guard is alive.
	Alive []string `json:"alive,omitempty"`
	// Dead are the dead runs, each with what was done.
	Dead []DeadRun `json:"dead,omitempty"`
	// Orphans are processes of runs without a folder whose harness has ended. They were ended.
	Orphans []string `json:"orphans,omitempty"`
}

// DeadRun is one dead run.
type DeadRun struct {
	ID    string `json:"id"`
	Owner Owner  `json:"owner"`
	// Undone are the changes that were undone (or would be, in a dry run), in that order.
	Undone []string `json:"undone,omitempty"`
	// Void are changes of the kernel's state before the last reboot, which no longer exist.
	Void []string `json:"void,omitempty"`
	// Left are the changes that could not be undone. If there are any, the folder stays.
	Left []string `json:"left,omitempty"`
	// Ended are the processes that were ended.
	Ended []string `json:"ended,omitempty"`
	// Removed says whether the folder was removed.
	Removed bool `json:"removed"`
}

// Clean undoes what dead runs left on this machine, and prints to w what it finds. It does not touch live runs. The error lists
// everything that could not be done; the report is complete even then.
func Clean(ctx context.Context, w io.Writer, opts CleanOptions) (Report, error) {
	dir, err := Dir()
	if err != nil {
		return Report{}, err
	}
	tidy, err := lockTidy(ctx, dir)
	if err != nil {
		return Report{}, err
	}
	defer func() { _ = tidy.Close() }()
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Report{}, err
	}
	c := &cleaner{ctx: ctx, w: w, dir: dir, dry: opts.DryRun}
	var errs []error
	// The youngest run first: if two runs changed the same setting, the younger one saved the value of the older one.
	for _, entry := range slices.Backward(entries) {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		name := entry.Name()
		if _, half := crashsafe.Half(name); half {
			errs = append(errs, c.scrap(name))
		} else if ValidID(name) {
			if err := c.folder(name); err != nil {
				errs = append(errs, fmt.Errorf("clean run %s: %w", name, err))
			}
		}
	}
	errs = append(errs, c.orphans())
	return c.report, errors.Join(errs...)
}

type cleaner struct {
	ctx    context.Context
	w      io.Writer
	dir    string
	dry    bool
	report Report
}

func (c *cleaner) say(format string, args ...any) {
	_, _ = fmt.Fprintf(c.w, format+"\n", args...) // the report has the same text
}

// doing chooses between the verbs of a clean and of a dry run.
func (c *cleaner) doing(verb, would string) string {
	if c.dry {
		return "would " + would
	}
	return verb
}

// folder cleans one run, if it is dead. The exclusive lock keeps a guard from joining meanwhile.
func (c *cleaner) folder(id string) error {
	lock, err := lockDead(c.ctx, filepath.Join(c.dir, id))
	switch {
	case errors.Is(err, ErrBusy):
		return c.held(id)
	case errors.Is(err, os.ErrNotExist):
		// The folder is gone: the run's guard or another clean has removed it meanwhile.
		return nil
	case err != nil:
		return err
	}
	defer func() { _ = lock.Close() }()
	return c.dead(id)
}

func (c *cleaner) held(id string) error {
	owner, err := readOwner(filepath.Join(c.dir, id))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	c.report.Alive = append(c.report.Alive, id)
	c.say("run %s is alive and left alone: %s", id, owner)
	return err
}

// dead cleans a run whose exclusive lock is held by the caller.
func (c *cleaner) dead(id string) error {
	folder := filepath.Join(c.dir, id)
	owner, err := readOwner(folder)
	errs := []error{err}
	run := DeadRun{ID: id, Owner: owner}
	c.say("run %s has died: %s", id, owner)

	// The processes first: a running one could make the changes again.
	ended, err := c.endRun(id)
	run.Ended = ended
	errs = append(errs, err, c.undo(&run))

	if err := errors.Join(errs...); err != nil {
		c.say("  left: %s, because: %v", folder, err)
		c.report.Dead = append(c.report.Dead, run)
		return err
	}
	if c.dry {
		c.say("  would remove %s", folder)
	} else {
		err = crashsafe.Remove(folder)
		run.Removed = err == nil
		c.say("  removed %s", folder)
	}
	c.report.Dead = append(c.report.Dead, run)
	return err
}

func (c *cleaner) endRun(id string) ([]string, error) {
	found, err := Processes(id)
	if !c.dry && err == nil {
		found, err = endProcesses(c.ctx, id)
	}
	var names []string
	for _, p := range found {
		names = append(names, p.String())
		c.say("  %s %s", c.doing("ended", "end"), p)
	}
	return names, err
}

func (c *cleaner) undo(run *DeadRun) error {
	journal := filepath.Join(c.dir, run.ID, journalFile)
	pending, err := undo.Pending(journal)
	if len(pending) == 0 {
		return err
	}
	if c.dry {
		for i := len(pending) - 1; i >= 0; i-- {
			run.Undone = append(run.Undone, pending[i].String())
			c.say("  would undo: %s", pending[i])
		}
		return err
	}
	// The changes in a journal may be host-wide, and a live run may be changing the same settings.
	lock, err := lockHost(c.dir, "relapse clean, of run "+run.ID)
	if err != nil {
		for _, entry := range pending {
			run.Left = append(run.Left, entry.String())
		}
		return err
	}
	defer func() { _ = lock.Unlock() }()

	if boot, err := bootID(); err == nil && run.Owner.Boot != "" && boot != run.Owner.Boot {
		// Only files and containers outlive a reboot. Restoring other values from before it would be a new change.
		if err := undo.Forget(journal, func(r undo.Record) bool { return !r.OutlivesBoot() }); err != nil {
			return err
		}
		for _, entry := range pending {
			if !entry.Undo.OutlivesBoot() {
				run.Void = append(run.Void, entry.String())
				c.say("  gone with the last boot: %s", entry)
			}
		}
	}
	left, err := undo.UndoPending(c.ctx, journal, func(entry undo.Entry, err error) {
		if err != nil {
			c.say("  NOT undone: %s: %v", entry, err)
			return
		}
		run.Undone = append(run.Undone, entry.String())
		c.say("  undone: %s", entry)
	})
	for _, entry := range left {
		run.Left = append(run.Left, entry.String())
	}
	return err
}

// scrap removes a folder that a process left half made or half removed.
func (c *cleaner) scrap(name string) error {
	folder := filepath.Join(c.dir, name)
	lock, err := flock(filepath.Join(folder, lockFile), unix.LOCK_EX|unix.LOCK_NB, os.O_RDWR)
	switch {
	case err == nil:
		defer func() { _ = lock.Close() }()
	case errors.Is(err, ErrBusy): // another process is working on it
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	c.say("%s %s, which was left half made", c.doing("removed", "remove"), folder)
	if c.dry {
		return nil
	}
	return os.RemoveAll(folder)
}

// orphans ends the processes of runs without a folder.
func (c *cleaner) orphans() error {
	found, err := procs.WithEnv(EnvRun, EnvDir, EnvHarness)
	errs := []error{err}
	for _, p := range found {
		if p.PID == os.Getpid() || !orphan(p, c.dir) {
			continue
		}
		if !c.dry {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), killTimeout)
			err := p.Kill(ctx)
			cancel()
			if err != nil {
				errs = append(errs, err)
				continue
			}
		}
		c.report.Orphans = append(c.report.Orphans, p.String())
		c.say("%s %s of run %s, which has no folder any more", c.doing("ended", "end"), p, p.Env[EnvRun])
	}
	return errors.Join(errs...)
}
