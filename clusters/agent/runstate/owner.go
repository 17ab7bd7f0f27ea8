package runstate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Owner describes the harness and guard of a run: owner.json.
type Owner struct {
	Harness procs.ID `json:"harness"`
	// Guard is absent until the guard has joined.
	Guard *procs.ID `json:"guard,omitempty"`
	// Command line of the harness.
	Command  []string `json:"command"`
	Scenario string   `json:"scenario"`
	// Start in RFC 3339.
	Start string `json:"start"`
	// Boot is the boot id of the kernel: a journal's records of the kernel's state are void after a reboot.
	Boot string `json:"boot"`
}

// String helps a person recognize the run.
func (o Owner) String() string {
	who := fmt.Sprintf("harness pid %d", o.Harness.PID)
	if o.Guard != nil {
		who += fmt.Sprintf(", guard pid %d", o.Guard.PID)
	}
	return fmt.Sprintf("scenario %q, started %s, %s, command %q", o.Scenario, o.Start, who, strings.Join(o.Command, " "))
}

func readOwner(folder string) (Owner, error) {
	var owner Owner
	file := filepath.Join(folder, ownerFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return owner, err
	}
	if err := json.Unmarshal(text, &owner); err != nil {
		return owner, fmt.Errorf("%s: %w", file, err)
	}
	return owner, nil
}

// writeOwner replaces the file in one step, so that nobody reads half of it.
func writeOwner(folder string, owner Owner) error {
	text, err := json.MarshalIndent(owner, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ownerFile+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, ownerFile))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}
