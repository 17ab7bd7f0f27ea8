// Package schema makes the JSON Schema of scenario files from the Go types, and holds the committed result. Editors use it
// to complete and explain what one types; the loader is stricter and has the last word.
package schema

import (
	_ "embed"
	"path/filepath"
)

//go:generate go run ../../cmd/relapse/catalogue/gen
//go:embed scenario.v1alpha1.json
var committed []byte

// JSON is the schema that belongs to this build, as in scenario.v1alpha1.json.
func JSON() []byte { return append([]byte(nil), committed...) }

// Sources lists the folders, below the repository's, whose types a scenario file is made of.
func Sources(root string) []string {
	var dirs []string
	for _, dir := range []string{"harness/scenario", "faults", "clusters/agent/probes", "clusters/agent/units", "harness/detect"} {
		dirs = append(dirs, filepath.Join(root, dir))
	}
	return dirs
}
