package runstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
)

// ErrBusy is returned if another process holds the lock.
var ErrBusy = errors.New("the lock is held")

// flock locks a file. The kernel releases the lock when the last descriptor of this open file is closed, however the process ends.
// Children do not inherit Go's descriptors.
func flock(path string, how int, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrBusy
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	// The previous holder may have removed the file meanwhile. Then this lock is worthless.
	opened, err := f.Stat()
	if err == nil {
		var now os.FileInfo
		if now, err = os.Stat(path); err == nil && !os.SameFile(opened, now) {
			err = fmt.Errorf("lock %s: %w", path, os.ErrNotExist)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// lockTick is how often a lock is tried: the kernel cannot wait for a lock and a context at the same time.
const lockTick = 20 * time.Millisecond

// waitLock takes a lock as soon as it is free.
func waitLock(ctx context.Context, path string, flags int) (f *os.File, err error) {
	err = await.Until(ctx, 0, lockTick, func(context.Context) (string, error) {
		var err error
		if f, err = flock(path, unix.LOCK_EX|unix.LOCK_NB, flags); errors.Is(err, ErrBusy) {
			return "", err
		}
		return "", await.Stop(err)
	})
	return f, err
}

// lockTidy prevents two processes from testing the locks of dead runs at the same time, and waits for its turn. A process that tests a
// lock holds it for a moment, so the run would look alive to the other.
func lockTidy(ctx context.Context, dir string) (*os.File, error) {
	f, err := waitLock(ctx, filepath.Join(dir, "clean.lock"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("wait for another clean to end: %w", err)
	}
	return f, nil
}

// dying is how long a child of a killed process may hold the locks of its parent.
const dying = time.Second

// lockDead takes the exclusive lock of a dead run, or fails with ErrBusy.
func lockDead(ctx context.Context, folder string) (*os.File, error) {
	path := filepath.Join(folder, lockFile)
	f, err := flock(path, unix.LOCK_EX|unix.LOCK_NB, os.O_RDWR)
	if !errors.Is(err, ErrBusy) {
		return f, err
	}
	owner, ownerErr := readOwner(folder)
	if ownerErr != nil || owner.Harness.Alive() || owner.Guard != nil && owner.Guard.Alive() {
		return nil, err
	}
	// The processes have ended, but the lock is still held: by a child that is just being started and has not closed its parent's files yet,
	// or by a process that is invisible from here, such as one in a container.
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	return waitLock(ctx, path, os.O_RDWR)
}
