// Package load reads scenario files: strictly, and with all errors of a file at once, each with its line.
package load

import (
	"io/fs"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/regular"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// File reads a scenario file, which is named after the scenario's id. What is wrong with its text is returned as Errors.
func File(path string, cat scenario.Catalogues) (*scenario.Scenario, error) {
	data, err := Read(path)
	if err != nil {
		return nil, err
	}
	return Named(path, data, cat)
}

// Read reads the text of a scenario file.
func Read(path string) ([]byte, error) { return regular.ReadFile(path, regular.MaxScenario) }

// FS is File for a file of fsys, such as the embedded scenarios.
func FS(fsys fs.FS, path string, cat scenario.Catalogues) (*scenario.Scenario, error) {
	data, err := fs.ReadFile(fsys, path)
	if err != nil {
		return nil, err
	}
	return Named(path, data, cat)
}

// Named reads the text of a scenario file, which is named after the scenario's id.
func Named(path string, data []byte, cat scenario.Catalogues) (*scenario.Scenario, error) {
	return parse(path, data, cat, rules{named: true})
}

// Parse reads a scenario from data; name stands for the file in errors. JSON as printed by json.Marshal is read as well.
func Parse(name string, data []byte, cat scenario.Catalogues) (*scenario.Scenario, error) {
	return parse(name, data, cat, rules{})
}

// Recorded reads a scenario that was run already: it need not give the reasons that a file must, which older versions did not know.
func Recorded(name string, data []byte, cat scenario.Catalogues) (*scenario.Scenario, error) {
	return parse(name, data, cat, rules{recorded: true})
}

// rules are which rules apply to a text beside those that always do.
type rules struct{ named, recorded bool }

func parse(file string, data []byte, cat scenario.Catalogues, apply rules) (*scenario.Scenario, error) {
	r := newReport(file)
	root := readYAML(data, r)
	if root == nil {
		return nil, r.err()
	}
	s := &scenario.Scenario{}
	decode(root, s, cat, r)
	validate(s, cat, r, apply.recorded)
	if want := s.Metadata.ID + ".yaml"; apply.named && s.Metadata.ID != "" && filepath.Base(file) != want {
		r.addAt("metadata.id", "the file of scenario %q must be called %s, not %s", s.Metadata.ID, want, filepath.Base(file))
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return s, nil
}
