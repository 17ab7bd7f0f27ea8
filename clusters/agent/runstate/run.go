package runstate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/crashsafe"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Run is a handle of a run: while it is open, the run is alive.
type Run struct {
	// ID of the run.
	ID string
	// Owner at the time when the handle was opened.
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

// create makes the folder, already locked: a clean must never see a live run without its lock.
func (r *Run) create() error {
	err := crashsafe.Make(r.Folder(), func(unfinished string) (err error) {
		if r.lock, err = flock(filepath.Join(unfinished, lockFile), unix.LOCK_SH|unix.LOCK_NB, os.O_RDWR|os.O_CREATE); err != nil {
			return err
		}
		if err := writeOwner(unfinished, r.Owner); err != nil {
			return err
		}
		// It exists from the start, so that a new file in the folder is a leftover.
		return os.WriteFile(filepath.Join(unfinished, journalFile), nil, 0o600)
	})
	if err != nil && r.lock != nil {
		_ = r.lock.Close()
	}
	return err
}

// Join opens a run in another process: the caller is its guard. The run stays alive when the harness dies.
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

// Env are the environment variables that every process of the run must have.
func (r *Run) Env() []string {
	return []string{
		EnvRun + "=" + r.ID,
		EnvDir + "=" + r.dir,
		EnvHarness + "=" + formatHarness(r.Owner.Harness),
	}
}

// Close closes the handle. The folder stays: if no guard is alive, `relapse clean` removes it.
func (r *Run) Close() error { return r.lock.Close() }

// Remove ends the run: it removes the folder and closes the handle. It is for a run with nothing left to undo.
func (r *Run) Remove() error {
	return errors.Join(crashsafe.Remove(r.Folder()), r.Close())
}
