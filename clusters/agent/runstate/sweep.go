package runstate

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/crashsafe"
)

// Sweep removes the folders of runs that died before their guard had joined. Until then nothing is changed, so there is nothing to undo,
// and nobody else removes the folders. In case of doubt it leaves the folder to Clean.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if ValidID(entry.Name()) {
			errs = append(errs, sweepOne(dir, entry.Name()))
		}
	}
	return errors.Join(errs...)
}

func sweepOne(dir, id string) error {
	folder := filepath.Join(dir, id)
	owner, err := readOwner(folder)
	if err != nil || owner.Guard != nil || owner.Harness.Alive() {
		return nil
	}
	journal, err := os.Stat(filepath.Join(folder, journalFile))
	if err != nil || journal.Size() > 0 {
		return nil
	}
	// While the lock is held, a guard cannot join.
	lock, err := flock(filepath.Join(folder, lockFile), unix.LOCK_EX|unix.LOCK_NB, os.O_RDWR)
	if err != nil {
		return nil
	}
	defer lock.Close()
	return crashsafe.Remove(folder)
}
