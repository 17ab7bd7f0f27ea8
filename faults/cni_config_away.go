package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// awaySuffix hides a configuration from the container runtime, which looks for .conf, .conflist and .json.
const awaySuffix = ".relapse-away"

// cniConfigs lists the files of a node's CNI configuration that have a suffix. The agent of a node sees the node's own files
// through its first process.
func cniConfigs(suffix string) ([]string, error) {
	entries, err := os.ReadDir(cniFolder)
	if err != nil {
		return nil, fmt.Errorf("this place has no CNI: %w", err)
	}
	var files []string
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), suffix)
		known := slices.Contains([]string{".conf", ".conflist", ".json"}, filepath.Ext(name))
		if known && strings.HasSuffix(e.Name(), suffix) {
			files = append(files, filepath.Join(cniFolder, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no CNI configuration%s", cniFolder, suffix)
	}
	return files, nil
}

// CNIConfigAway is the part of no-cni that is made on each node.
type CNIConfigAway struct{}

// Apply renames each file.
func (*CNIConfigAway) Apply(_ context.Context, ns *Namespace) error {
	files, err := cniConfigs("")
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := ns.Scope.SetFile(file+awaySuffix, text, 0o600); err != nil {
			return err
		}
		if err := ns.Scope.RemoveFile(file); err != nil {
			return err
		}
	}
	return nil
}

// Keys are its numbers.
func (*CNIConfigAway) Keys() units.Keys {
	return units.Keys{"away": {Means: "files that are renamed", Kind: units.Gauge}}
}

// Readings counts the files.
func (*CNIConfigAway) Readings(context.Context) (map[string]float64, error) {
	files, err := cniConfigs(awaySuffix)
	return map[string]float64{"away": float64(len(files))}, err
}

// CNIConfigBack is the part of install-cni that is made on each node.
type CNIConfigBack struct{}

// Apply writes each renamed file again under its old name.
func (*CNIConfigBack) Apply(_ context.Context, ns *Namespace) error {
	files, err := cniConfigs(awaySuffix)
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := ns.Scope.SetFile(strings.TrimSuffix(file, awaySuffix), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Keys are its numbers.
func (*CNIConfigBack) Keys() units.Keys {
	return units.Keys{"back": {Means: "renamed files that exist again under their old name", Kind: units.Gauge}}
}

// Readings counts the files.
func (*CNIConfigBack) Readings(context.Context) (map[string]float64, error) {
	files, err := cniConfigs(awaySuffix)
	back := 0.0
	for _, file := range files {
		if _, err := os.Stat(strings.TrimSuffix(file, awaySuffix)); err == nil {
			back++
		}
	}
	return map[string]float64{"back": back}, err
}
