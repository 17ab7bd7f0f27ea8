// Package runstate keeps the state of live and dead runs on this machine: one folder for each run, with the journal of what must be
// undone, and a lock that the harness and the guard hold as long as they live. So `relapse clean` does not have to guess.
package runstate

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Environment variables. All but EnvDir are set in every process of a run, see Run.Env.
const (
	// EnvDir is the path of the state folder, in place of the default.
	EnvDir = "RELAPSE_STATE_DIR"
	// EnvRun is the id of the run that a process belongs to.
	EnvRun = "RELAPSE_RUN"
	// EnvHarness is PID/START of the harness of that run.
	EnvHarness = "RELAPSE_HARNESS"
)

// Names of the files in a run's folder.
const (
	journalFile = "journal.jsonl"
	ownerFile   = "owner.json"
	lockFile    = "lock"
)

// Dir is the state folder of this machine: /run/relapse for root, else relapse in $XDG_RUNTIME_DIR, else relapse-UID in the temporary
// folder. It is created if it does not exist, and refused if it does not belong to the caller.
func Dir() (string, error) {
	dir := os.Getenv(EnvDir)
	if dir == "" {
		switch runtime := os.Getenv("XDG_RUNTIME_DIR"); {
		case os.Geteuid() == 0:
			dir = "/run/relapse"
		case runtime != "":
			dir = filepath.Join(runtime, "relapse")
		default:
			dir = filepath.Join(os.TempDir(), fmt.Sprintf("relapse-%d", os.Geteuid()))
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("state folder: %w", err)
	}
	// In a temporary folder anybody could have created it, and the commands in its journals are executed.
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("state folder %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 {
		return "", fmt.Errorf("state folder %s: must be a folder that only user %d can write to; remove it, or set RELAPSE_STATE_DIR", dir, os.Geteuid())
	}
	return dir, nil
}
