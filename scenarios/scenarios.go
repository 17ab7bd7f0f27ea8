// Package scenarios holds the scenarios that come with relapse, one YAML file each.
package scenarios

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Files are the scenario files.
//
//go:embed *.yaml
var Files embed.FS

// IDs lists the scenarios, sorted.
func IDs() ([]string, error) {
	names, err := fs.Glob(Files, "*.yaml")
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		names[i] = strings.TrimSuffix(path.Base(name), ".yaml")
	}
	slices.Sort(names)
	return names, nil
}
