package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// PodLeases takes all addresses that a node has for pods, as leases of containers that are no longer there: nobody gives them back. The
// leases of pods that run now outlive their pods too. The node's CNI configuration must name the plugin host-local with a range of its own.
type PodLeases struct {
	// Leave is how many addresses stay free. Default: 0.
	Leave int `json:"leave,omitempty" jsonschema:"minimum=0,maximum=1000"`
}

// staleMark is who has the new leases, and a line at the end of those of running pods: host-local gives back only a lease whose text is
// the container and its interface, and nothing else.
const staleMark = "relapse-stale"

// Apply writes a lease for each free address, and marks the others.
func (c *PodLeases) Apply(_ context.Context, ns *Namespace) error {
	h, err := findHostLocal()
	if err != nil {
		return err
	}
	free, err := h.free()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(h.folder, 0o755); err != nil {
		return err
	}
	if err := ns.Scope.Push(undo.Record{Step: &staleLeases{Folder: h.folder}}); err != nil {
		return err
	}
	for _, path := range free[:max(0, len(free)-c.Leave)] {
		if err := takeLease(path); err != nil {
			return err
		}
	}
	_, used, err := h.leases()
	if err != nil {
		return err
	}
	for _, path := range used {
		if err := editLease(path, func(text string) string { return text + lineEnd + staleMark }); err != nil {
			return err
		}
	}
	return nil
}

// lineEnd is between the lines of a lease.
const lineEnd = "\r\n"

// takeLease writes a lease, unless there is one.
func takeLease(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(staleMark + lineEnd + "eth0")
	return errors.Join(err, f.Close())
}

// editLease changes the text of a lease, if it is still there.
func editLease(path string, edit func(string) string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	before, err := io.ReadAll(f)
	if err == nil {
		after := edit(string(before))
		_, err = f.WriteAt([]byte(after), 0)
		err = errors.Join(err, f.Truncate(int64(len(after))))
	}
	return errors.Join(err, f.Close())
}

// staleLeases deletes the leases of nobody, and takes the mark off the others.
type staleLeases struct{ Folder string }

func init() { undo.Register(func() undo.Step { return &staleLeases{} }) }

// Kind is its name in a journal.
func (*staleLeases) Kind() string { return "stale-leases" }

// Check refuses a folder that is not in a node's file system.
func (l *staleLeases) Check() error {
	if !strings.HasPrefix(filepath.Clean(l.Folder), nodeRoot+"/") {
		return fmt.Errorf("folder %q is not in a node's file system", l.Folder)
	}
	return nil
}

// Undo finds them by the mark.
func (l *staleLeases) Undo(context.Context) error {
	if err := l.Check(); err != nil {
		return err
	}
	stale, used, err := hostLocal{folder: l.Folder}.leases()
	for _, path := range stale {
		text, readErr := os.ReadFile(path)
		if strings.Contains(string(text), staleMark) {
			readErr = os.Remove(path)
		}
		err = errors.Join(err, readErr)
	}
	for _, path := range used {
		err = errors.Join(err, editLease(path, func(text string) string { return strings.TrimSuffix(text, lineEnd+staleMark) }))
	}
	return err
}

// Limit is the default one.
func (*staleLeases) Limit() time.Duration { return 0 }

func (l *staleLeases) String() string { return "delete the leases of nobody in " + l.Folder }

// Keys are its numbers.
func (*PodLeases) Keys() units.Keys {
	return units.Keys{
		"stale": {Means: "leases of containers that do not exist", Kind: units.Gauge}, "free": {Means: "addresses without a lease", Kind: units.Gauge},
	}
}

// Readings counts leases.
func (*PodLeases) Readings(context.Context) (map[string]float64, error) { return readLeases() }
