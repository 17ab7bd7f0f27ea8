package runstate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// claimPrefix is the start of the names of claims' lock files.
const claimPrefix = "claim-"

// Claim locks something on this machine, such as a cluster, until the returned file is closed or the process ends.
func Claim(name string) (*os.File, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	file, err := flock(filepath.Join(dir, claimPrefix+name), unix.LOCK_EX|unix.LOCK_NB, os.O_RDWR|os.O_CREATE)
	if errors.Is(err, ErrBusy) {
		return nil, fmt.Errorf("%s is used by another run: %w", name, ErrBusy)
	}
	return file, err
}
