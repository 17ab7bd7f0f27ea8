package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
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

// nodeRoot is the node's own file system, as its agent sees it.
const nodeRoot = "/proc/1/root"

// maxLeases keeps the change from filling a large range for minutes.
const maxLeases = 4096

// hostLocal is where the plugin host-local keeps leases: a file for each address, with the container's id in its first line.
// Source: containernetworking/plugins plugins/ipam/host-local/backend/disk/backend.go.
type hostLocal struct {
	folder string
	subnet netip.Prefix
}

// findHostLocal reads the first configuration by name, which is the one that the container runtime uses.
func findHostLocal() (hostLocal, error) {
	files, err := cniConfigs("")
	if err != nil {
		return hostLocal{}, err
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return hostLocal{}, err
	}
	var config struct {
		Name    string
		Plugins []struct {
			IPAM struct {
				Type, DataDir string
				Ranges        [][]struct{ Subnet netip.Prefix }
			}
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return hostLocal{}, fmt.Errorf("%s: %w", files[0], err)
	}
	for _, plugin := range config.Plugins {
		ipam := plugin.IPAM
		if ipam.Type != "host-local" || len(ipam.Ranges) != 1 || len(ipam.Ranges[0]) != 1 || !ipam.Ranges[0][0].Subnet.Addr().Is4() {
			continue
		}
		folder := ipam.DataDir
		if folder == "" {
			folder = "/var/lib/cni/networks"
		}
		return hostLocal{filepath.Join(nodeRoot, folder, config.Name), ipam.Ranges[0][0].Subnet}, nil
	}
	return hostLocal{}, fmt.Errorf("%s does not name the plugin host-local with one IPv4 range", files[0])
}

// free lists the addresses without a lease. The first one is the gateway's, the last one that of broadcasts.
func (h hostLocal) free() (free []string, err error) {
	address := h.subnet.Masked().Addr().Next().Next()
	for ; h.subnet.Contains(address.Next()); address = address.Next() {
		path := filepath.Join(h.folder, address.String())
		switch _, err := os.Lstat(path); {
		case errors.Is(err, os.ErrNotExist):
			free = append(free, path)
		case err != nil:
			return nil, err
		}
		if len(free) > maxLeases {
			return nil, fmt.Errorf("the node's range %s has more than %d free addresses", h.subnet, maxLeases)
		}
	}
	return free, nil
}

// leases lists the files of leases, by whether their containers exist.
func (h hostLocal) leases() (stale, used []string, err error) {
	entries, err := os.ReadDir(h.folder)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		if _, err := netip.ParseAddr(e.Name()); err != nil {
			continue
		}
		path := filepath.Join(h.folder, e.Name())
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		id, _, _ := strings.Cut(string(text), "\n")
		// containerd has a folder for each running container. Source: containerd docs/ops.md, "State".
		if _, err := os.Stat(filepath.Join(nodeRoot, "/run/containerd/io.containerd.runtime.v2.task/k8s.io", filepath.Base(strings.TrimSpace(id)))); err != nil {
			stale = append(stale, path)
		} else {
			used = append(used, path)
		}
	}
	return stale, used, nil
}

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

func readLeases() (map[string]float64, error) {
	h, err := findHostLocal()
	if err != nil {
		return nil, err
	}
	free, err := h.free()
	if err != nil {
		return nil, err
	}
	stale, _, err := h.leases()
	return map[string]float64{"stale": float64(len(stale)), "free": float64(len(free))}, err
}

// FreeLeases deletes the leases of containers that do not exist, as people do who find the node's range exhausted. Undoing it writes them
// again.
type FreeLeases struct{}

// Apply deletes them.
func (*FreeLeases) Apply(_ context.Context, ns *Namespace) error {
	h, err := findHostLocal()
	if err != nil {
		return err
	}
	stale, _, err := h.leases()
	if err != nil {
		return err
	}
	for _, path := range stale {
		record, err := undo.FileRecord(path)
		if err != nil {
			return err
		}
		if err := ns.Scope.Push(record); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// Keys are its numbers.
func (*FreeLeases) Keys() units.Keys { return (*PodLeases)(nil).Keys() }

// Readings counts leases.
func (*FreeLeases) Readings(context.Context) (map[string]float64, error) { return readLeases() }
