// Package journals keeps the journals of a node's agents, a folder each, with who writes it: an agent that was killed cannot undo
// what it did, and the namespace that it was in lives on. Whoever keeps the folder undoes what the dead have left.
package journals

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/crashsafe"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Owner is the agent that writes a journal, and where it makes its changes.
type Owner struct {
	Process procs.ID `json:"process"`
	// Run and Place are the run's id, and the place as scenarios call it: node/node-1, pod/client.
	Run   string `json:"run"`
	Place string `json:"place"`
	// Container that the agent has entered the namespaces of, or nothing for the node.
	Container string `json:"container,omitempty"`
	// Netns is the inode of the network namespace.
	Netns uint64 `json:"netns"`
}

// String says whose it is.
func (o Owner) String() string {
	return fmt.Sprintf("agent %s of run %s, %s", o.Place, o.Run, o.Process)
}

// Files of a journal's folder.
const (
	ownerFile   = "owner.json"
	journalFile = "journal.jsonl"
)

// name of a folder: the pid and the start of the agent.
var name = regexp.MustCompile(`^(\d+)-(\d+)$`)

// Journal is one that is being written.
type Journal struct {
	*undo.Journal
	dir, folder string
}

// Create begins the journal of an agent.
func Create(dir string, owner Owner) (*Journal, error) {
	fail := func(err error) (*Journal, error) { return nil, fmt.Errorf("journal of %s: %w", owner, err) }
	folder := filepath.Join(dir, fmt.Sprintf("%d-%d", owner.Process.PID, owner.Process.Start))
	text, err := json.Marshal(owner)
	if err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	if err := crashsafe.Make(folder, func(unfinished string) error {
		return os.WriteFile(filepath.Join(unfinished, ownerFile), text, 0o600)
	}); err != nil {
		return fail(err)
	}
	journal, err := undo.OpenJournal(filepath.Join(folder, journalFile))
	if err != nil {
		return fail(err)
	}
	return &Journal{Journal: journal, dir: dir, folder: folder}, nil
}

// Remove ends a journal that has nothing left to undo.
func (j *Journal) Remove() error { return errors.Join(j.Close(), crashsafe.Remove(j.folder)) }

// Left is a journal on the disk.
type Left struct {
	Folder string
	Owner  Owner
}

// ReadLeft reads who wrote a journal.
func ReadLeft(folder string) (Left, error) {
	left := Left{Folder: folder}
	text, err := os.ReadFile(filepath.Join(folder, ownerFile))
	if err == nil {
		err = json.Unmarshal(text, &left.Owner)
	}
	if err != nil {
		return left, fmt.Errorf("journal %s: %w", folder, err)
	}
	return left, nil
}

// Undo undoes what is left, in this process's network namespace, says each step, and removes the journal when nothing stays.
func (l Left) Undo(ctx context.Context, say func(string)) error {
	left, err := undo.UndoPending(ctx, filepath.Join(l.Folder, journalFile), func(entry undo.Entry, err error) {
		if err != nil {
			say(fmt.Sprintf("%s: %s: %v", l.Owner, entry, err))
			return
		}
		say(fmt.Sprintf("%s: %s: done", l.Owner, entry))
	})
	if err != nil || len(left) > 0 {
		return fmt.Errorf("%s: %d steps are left: %w", l.Owner, len(left), err)
	}
	return l.Remove()
}

// Remove forgets a journal: there is nothing to undo any more.
func (l Left) Remove() error { return crashsafe.Remove(l.Folder) }

// dead lists the journals of agents that have ended, the youngest first, which is the order to undo them in. Unfinished ones of dead agents,
// and removed ones, are taken away.
func dead(dir string) ([]Left, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Left
	var errs []error
	for _, entry := range entries {
		own, half := crashsafe.Half(entry.Name())
		m := name.FindStringSubmatch(own)
		if m == nil {
			continue
		}
		pid, err1 := strconv.Atoi(m[1])
		start, err2 := strconv.ParseUint(m[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil {
			errs = append(errs, fmt.Errorf("journal %s: %w", entry.Name(), err))
			continue
		}
		if (procs.ID{PID: pid, Start: start}).Alive() {
			continue
		}
		folder := filepath.Join(dir, entry.Name())
		if half {
			errs = append(errs, os.RemoveAll(folder))
			continue
		}
		left, err := ReadLeft(folder)
		if errors.Is(err, os.ErrNotExist) { // somebody has undone it in this moment
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, left)
	}
	slices.SortFunc(all, func(a, b Left) int { return int(b.Owner.Process.Start) - int(a.Owner.Process.Start) })
	return all, errors.Join(errs...)
}

// Await returns when no dead agent's journal is left for a network namespace: what it has changed would be taken for what was there.
func Await(ctx context.Context, dir string, netns uint64) error {
	return await.Until(ctx, 0, limits.JournalPoll, func(context.Context) (string, error) {
		all, err := dead(dir)
		if err != nil {
			return "", await.Stop(err)
		}
		if i := slices.IndexFunc(all, func(l Left) bool { return l.Owner.Netns == netns }); i >= 0 {
			return fmt.Sprintf("what %s left is not undone", all[i].Owner), nil
		}
		return "", nil
	})
}
