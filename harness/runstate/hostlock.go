package runstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// HostLock is the right to change what belongs to the whole machine. One run at a time has it.
type HostLock struct{ file *os.File }

// ErrHostHeld is the error of a machine that another run is changing.
var ErrHostHeld = errors.New("another run may be changing settings of this machine")

// LockHost takes the right to change host-wide settings, or fails at once and says who has it. It is to be taken by the process
// that also undoes the changes (the guard), so that it lasts until that is done. It fails as well when a run has died and has left
// changes of this machine behind: to take those for the normal state, and to go back to them, would make them last.
func LockHost(ctx context.Context, runID string) (*HostLock, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	tidy, err := lockTidy(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tidy.Close() }()
	lock, err := lockHost(dir, "run "+runID)
	if err != nil {
		return nil, err
	}
	if err := refuseLeftovers(ctx, dir, runID); err != nil {
		return nil, errors.Join(err, lock.Unlock())
	}
	return lock, nil
}

// WaitHost waits until no run is changing the machine, and where that does not come before ctx ends says who is.
func WaitHost(ctx context.Context) error {
	dir, err := Dir()
	if err != nil {
		return err
	}
	tick := time.NewTicker(hostTick)
	defer tick.Stop()
	for {
		err := hostFree(ctx, dir)
		if !errors.Is(err, ErrHostHeld) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// hostTick is how often it is looked whether the lock is free.
const hostTick = 100 * time.Millisecond

// hostFree takes the lock for a moment. Those who want to keep it wait for that moment.
func hostFree(ctx context.Context, dir string) error {
	tidy, err := lockTidy(ctx, dir)
	if err != nil {
		return err
	}
	defer tidy.Close()
	path := filepath.Join(dir, "host.lock")
	f, err := flock(path, unix.LOCK_SH|unix.LOCK_NB, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, ErrBusy) {
		return held(path)
	}
	if err != nil {
		return fmt.Errorf("host lock: %w", err)
	}
	return f.Close()
}

func held(path string) error {
	holder, _ := os.ReadFile(path)
	name := strings.TrimSpace(string(holder))
	if name == "" {
		name = "a process that has not said its name yet"
	}
	return fmt.Errorf("%w: %s is held by %s", ErrHostHeld, path, name)
}

func lockHost(dir, who string) (*HostLock, error) {
	path := filepath.Join(dir, "host.lock")
	f, err := flock(path, unix.LOCK_EX|unix.LOCK_NB, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, ErrBusy) {
		return nil, held(path)
	}
	if err != nil {
		return nil, fmt.Errorf("host lock: %w", err)
	}
	text := fmt.Sprintf("%s (pid %d)\n", who, os.Getpid())
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(text), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("host lock: %w", err), f.Close())
	}
	return &HostLock{file: f}, nil
}

// Unlock gives the right back.
func (l *HostLock) Unlock() error {
	_ = l.file.Truncate(0) // only the holder's name, for the next error
	return l.file.Close()
}

func refuseLeftovers(ctx context.Context, dir, runID string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		id := entry.Name()
		if id == runID || !ValidID(id) {
			continue
		}
		pending, err := undo.Pending(filepath.Join(dir, id, journalFile))
		if err == nil && len(pending) == 0 {
			continue
		}
		held, stateErr := lockHeld(ctx, filepath.Join(dir, id))
		if stateErr == nil && held {
			// Its guard is at work, and does not have the lock: what it has to undo is no setting of the whole machine.
			continue
		}
		if errors.Is(stateErr, os.ErrNotExist) {
			continue
		}
		return errors.Join(fmt.Errorf("run %s has died and %d of its changes of this machine are not undone: run `relapse clean` first",
			id, len(pending)), err)
	}
	return nil
}

// lockHeld says whether somebody looks after the run in this folder.
func lockHeld(ctx context.Context, folder string) (bool, error) {
	f, err := lockDead(ctx, folder)
	if errors.Is(err, ErrBusy) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return false, f.Close()
}
