package runstate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/harness/runstate/procs"
)

// Run is the caller's hold on a run: while it is open, the run is alive.
type Run struct {
	// ID of the run.
	ID string
	// Owner as it was when the hold was taken.
	Owner Owner

	dir  string
	lock *os.File
}

// New makes the folder of a new run; the caller is its harness.
func New(scenario string, command []string) (*Run, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	if err := Sweep(dir); err != nil {
		return nil, fmt.Errorf("state of a new run: %w", err)
	}
	self, err := procs.Self()
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		now := time.Now()
		run := &Run{ID: newID(now), dir: dir, Owner: Owner{
			Harness: self, Command: command, Scenario: scenario, Start: now.Format(time.RFC3339), Boot: boot,
		}}
		err := run.create()
		if err == nil {
			return run, nil
		}
		// The id may be taken, or a clean may have taken the unfinished folder for a dead run's.
		passing := errors.Is(err, os.ErrExist) || errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrBusy)
		if !passing || try == 20 {
			return nil, fmt.Errorf("state of a new run: %w", err)
		}
	}
}

// create makes the folder under another name and gives it its own only when it is locked: a clean must never see a run without its
// lock.
func (r *Run) create() error {
	temp, err := os.MkdirTemp(r.dir, newPrefix)
	if err != nil {
		return err
	}
	r.lock, err = flock(filepath.Join(temp, lockFile), unix.LOCK_SH|unix.LOCK_NB, os.O_RDWR|os.O_CREATE)
	if err == nil {
		err = writeOwner(temp, r.Owner)
	}
	if err == nil {
		// Here from the start, so that a file that appears is a file that was left.
		err = os.WriteFile(filepath.Join(temp, journalFile), nil, 0o600)
	}
	if err == nil {
		err = os.Rename(temp, r.Folder())
	}
	if err != nil {
		if r.lock != nil {
			_ = r.lock.Close()
		}
		return errors.Join(err, os.RemoveAll(temp))
	}
	return nil
}

// Join takes hold of a run from another process: the caller is its guard. The run stays alive when the harness dies.
func Join(id string) (*Run, error) {
	run, err := hold(id)
	if err != nil {
		return nil, err
	}
	self, err := procs.Self()
	if err == nil {
		run.Owner.Guard = &self
		err = writeOwner(run.Folder(), run.Owner)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("join run %s: %w", id, err), run.Close())
	}
	return run, nil
}

func hold(id string) (*Run, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	if !ValidID(id) {
		return nil, fmt.Errorf("join run %q: not the id of a run", id)
	}
	run := &Run{ID: id, dir: dir}
	if run.lock, err = flock(filepath.Join(run.Folder(), lockFile), unix.LOCK_SH, os.O_RDWR); err == nil {
		if run.Owner, err = readOwner(run.Folder()); err != nil {
			_ = run.Close()
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("the run is over: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("join run %s: %w", id, err)
	}
	return run, nil
}

// Folder of the run's state.
func (r *Run) Folder() string { return filepath.Join(r.dir, r.ID) }

// Journal is the path of the journal of the host's agent.
func (r *Run) Journal() string { return filepath.Join(r.Folder(), journalFile) }

// Env is what every process of the run has to have in its environment.
func (r *Run) Env() []string {
	return []string{
		EnvRun + "=" + r.ID,
		EnvDir + "=" + r.dir,
		EnvHarness + "=" + formatHarness(r.Owner.Harness),
	}
}

// Close lets go of the run. Its folder stays: without a guard that is alive it is for `relapse clean`.
func (r *Run) Close() error { return r.lock.Close() }

// Remove ends the run: the folder goes, and the hold with it. It is for a run with nothing left to undo.
func (r *Run) Remove() error {
	return errors.Join(remove(r.dir, r.ID), r.Close())
}

// Unfinished and removed folders have names that no run has.
const (
	newPrefix  = ".new-"
	gonePrefix = ".gone-"
)

// remove takes the folder away in one step first, so that nobody finds half of it under the run's name.
func remove(dir, name string) error {
	gone, err := os.MkdirTemp(dir, gonePrefix)
	if err != nil {
		return err
	}
	err = os.Rename(filepath.Join(dir, name), filepath.Join(gone, name))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(gone))
}
