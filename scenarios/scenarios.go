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

//go:embed testdata/recorded/*.jsonl
var recorded embed.FS

// Overlaps says in YAML why detectors also fire on failures of other scenarios.
//
//go:embed testdata/overlaps.yaml
var Overlaps []byte

// Recorded is the folder of the fault phases of the scenarios that have passed in a lab, one file for each variant.
func Recorded() fs.FS {
	folder, err := fs.Sub(recorded, "testdata/recorded")
	if err != nil {
		panic(err) // the folder is part of the program
	}
	return folder
}

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
