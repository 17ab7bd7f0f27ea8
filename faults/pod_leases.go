package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// PodLeases takes all addresses that a node has for pods, as leases of containers that are no longer there: nobody gives them back. Those
// that pods have now are taken when the pods give them back. The node's CNI configuration must name the plugin host-local with a range of
// its own.
type PodLeases struct {
	// Leave is how many addresses stay free. Default: 0.
	Leave int `json:"leave,omitempty" jsonschema:"minimum=0,maximum=1000"`
}

// staleContainer is who has the leases.
const staleContainer = "relapse-stale"

// Apply writes a lease for each free address.
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
	_, used, err := h.leases()
	if err != nil {
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
	following, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { takeReturned(following, used) })
	return ns.Scope.PushFunc("stop taking leases", func(context.Context) error {
		stop()
		running.Wait()
		return nil
	})
}

// takeLease writes a lease, unless there is one.
func takeLease(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(staleContainer + "\r\neth0")
	return errors.Join(err, f.Close())
}

// returnedPoll is much shorter than the time in which a kubelet tries again.
const returnedPoll = 20 * time.Millisecond

// takeReturned takes each of these leases once, when its pod has given it back.
func takeReturned(ctx context.Context, used []string) {
	tick := time.NewTicker(returnedPoll)
	defer tick.Stop()
	for len(used) > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		used = slices.DeleteFunc(used, func(path string) bool {
			_, err := os.Lstat(path)
			return errors.Is(err, os.ErrNotExist) && takeLease(path) == nil
		})
	}
}

// staleLeases deletes the leases that the change has written.
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

// Undo deletes them, and no others.
func (l *staleLeases) Undo(context.Context) error {
	if err := l.Check(); err != nil {
		return err
	}
	stale, _, err := hostLocal{folder: l.Folder}.leases()
	for _, path := range stale {
		text, readErr := os.ReadFile(path)
		if strings.HasPrefix(string(text), staleContainer) {
			readErr = os.Remove(path)
		}
		err = errors.Join(err, readErr)
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
