package runstate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/harness/runstate/procs"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// CleanOptions are how to clean.
type CleanOptions struct {
	// DryRun only says what would be done.
	DryRun bool
}

// Report is what a clean found.
type Report struct {
	// Alive are the runs that were left alone because somebody looks after them.
	Alive []string `json:"alive,omitempty"`
	// Dead are the runs that had died, each with what was done.
	Dead []DeadRun `json:"dead,omitempty"`
	// Orphans are processes of runs that have no folder any more and whose harness has ended. They were ended.
	Orphans []string `json:"orphans,omitempty"`
}

// DeadRun is one run that had died.
type DeadRun struct {
	ID    string `json:"id"`
	Owner Owner  `json:"owner"`
	// Undone are the changes that were undone (or would be, in a dry run), in that order.
	Undone []string `json:"undone,omitempty"`
	// Void are changes of the kernel's state that went with the boot before this one.
	Void []string `json:"void,omitempty"`
	// Left are the changes that could not be undone. Then the folder stays.
	Left []string `json:"left,omitempty"`
	// Ended are the processes that were ended.
	Ended []string `json:"ended,omitempty"`
	// Removed is whether the folder has been removed.
	Removed bool `json:"removed"`
}

// Clean undoes what earlier runs on this machine have left, says on w what it finds, and leaves alone the runs that are alive. The
// error has all that could not be done; the report is complete all the same.
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
	// The youngest run first: where two have changed the same, it has found what the older one left.
	for _, entry := range slices.Backward(entries) {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		switch name := entry.Name(); {
		case ValidID(name):
			if err := c.folder(name); err != nil {
				errs = append(errs, fmt.Errorf("clean run %s: %w", name, err))
			}
		case strings.HasPrefix(name, newPrefix), strings.HasPrefix(name, gonePrefix):
			errs = append(errs, c.scrap(name))
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
	_, _ = fmt.Fprintf(c.w, format+"\n", args...) // what is said is in the report too
}

// doing is a verb in the tense that a dry run needs.
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
		// It went while we looked: its guard or another clean has ended it.
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

	// The processes first: one that is still at work could make the changes again.
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
		err = remove(c.dir, id)
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
	// What a journal holds belongs to the machine, and a run that is alive may be changing the same settings.
	lock, err := lockHost(c.dir, "relapse clean, of run "+run.ID)
	if err != nil {
		for _, entry := range pending {
			run.Left = append(run.Left, entry.String())
		}
		return err
	}
	defer func() { _ = lock.Unlock() }()

	if boot, err := bootID(); err == nil && run.Owner.Boot != "" && boot != run.Owner.Boot {
		// Files and containers outlive a boot. To set the rest to the values of another boot would be a change.
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

// scrap removes a folder that a process has left in the middle of making or removing it.
func (c *cleaner) scrap(name string) error {
	folder := filepath.Join(c.dir, name)
	locks, err := filepath.Glob(filepath.Join(folder, "*", lockFile))
	if err != nil {
		return err
	}
	for _, file := range append(locks, filepath.Join(folder, lockFile)) {
		lock, err := flock(file, unix.LOCK_EX|unix.LOCK_NB, os.O_RDWR)
		if errors.Is(err, ErrBusy) {
			return nil
		}
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer func() { _ = lock.Close() }()
	}
	c.say("%s %s, which was left half made", c.doing("removed", "remove"), folder)
	if c.dry {
		return nil
	}
	return os.RemoveAll(folder)
}

// orphans ends the processes of runs that have no folder.
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
