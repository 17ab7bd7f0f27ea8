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

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// HostLock is the lock for changes of the whole machine. One run at a time holds it.
type HostLock struct{ file *os.File }

// ErrHostHeld is returned while another run is changing the machine.
var ErrHostHeld = errors.New("another run may be changing settings of this machine")

// LockHost takes the lock for host-wide settings, or fails at once and names the holder. The process that also undoes the changes (the
// guard) must take it, so that it is held until that is done. It also fails if a dead run left changes of this machine: they would be
// saved as the normal state, and become permanent.
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

// WaitHost waits until no run is changing the machine. If ctx ends before that, the error says which run is.
func WaitHost(ctx context.Context) error {
	dir, err := Dir()
	if err != nil {
		return err
	}
	return await.Until(ctx, 0, hostTick, func(ctx context.Context) (string, error) {
		err := hostFree(ctx, dir)
		if errors.Is(err, ErrHostHeld) || ctx.Err() != nil { // two that look get in each other's way
			return "", err
		}
		return "", await.Stop(err)
	})
}

// hostTick is how often the lock is checked.
const hostTick = 100 * time.Millisecond

// hostFree takes the lock for a moment. LockHost waits for that moment.
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

// Unlock releases the lock.
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
			// Its guard is alive and does not hold the lock, so the run has not changed settings of the whole machine.
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

// lockHeld says whether a harness or guard holds the lock of the run in this folder.
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
