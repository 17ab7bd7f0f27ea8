package runstate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is the error of a lock that somebody else holds.
var ErrBusy = errors.New("the lock is held")

// flock locks a file. The kernel lets go of the lock when the last descriptor of this opening is closed, however its process ends;
// Go's descriptors are not inherited by children.
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
	// Whoever held the lock may have removed the file meanwhile, and then it is a lock on nothing.
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

// waitLock takes a lock as soon as nobody has it.
func waitLock(ctx context.Context, path string, flags int) (*os.File, error) {
	tick := time.NewTicker(20 * time.Millisecond) // the kernel can wait for a lock, but not for a lock or a context
	defer tick.Stop()
	for {
		f, err := flock(path, unix.LOCK_EX|unix.LOCK_NB, flags)
		if !errors.Is(err, ErrBusy) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// lockTidy keeps two processes from testing and cleaning the locks of dead runs at once, and waits for its turn. Who tests a lock
// holds it for a moment, and would make a dead run look alive to the other.
func lockTidy(ctx context.Context, dir string) (*os.File, error) {
	f, err := waitLock(ctx, filepath.Join(dir, "clean.lock"), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("wait for another clean to end: %w", err)
	}
	return f, nil
}

// dying is how long a child of a process that was killed may hold its locks.
const dying = time.Second

// lockDead takes the exclusive lock of a run that nobody looks after, or fails with ErrBusy.
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
	// They have ended, and yet the lock is held: by a child that was just being started and has not let go of its parent's
	// files yet, or by a process that cannot be seen from here, such as one in a container.
	ctx, cancel := context.WithTimeout(ctx, dying)
	defer cancel()
	return waitLock(ctx, path, os.O_RDWR)
}
