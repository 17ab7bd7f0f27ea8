package scenario

import (
	"io/fs"
	"os"
	"path/filepath"
)

// Catalogues is what a scenario may name. The caller passes it in, because the catalogues' packages import this one.
//
// Each function returns a pointer to a fresh config struct with json tags and doc comments. A config may have a method
// Validate() error or Validate() []error, whose errors are shown at the config, or at a field when wrapped with At.
// Fields of the types ReadingExpectation, ProbeExpectation and the ranges are checked as everywhere else in a scenario.
// A string field may be tagged `ref:"probe"`, `ref:"pod"` or `ref:"place"`: it then must name one of the scenario's.
type Catalogues struct {
	Changes, Probes, Detectors map[string]func() any
	// Offers holds the known names of needs and offers, with their meaning in a sentence.
	Offers map[string]string
}

// Load reads a scenario file, which is named after the scenario's id. What is wrong with its text is returned as Errors.
func Load(path string, cat Catalogues) (*Scenario, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data, cat, true)
}

// LoadFS is Load for a file of fsys, such as the embedded scenarios.
func LoadFS(fsys fs.FS, path string, cat Catalogues) (*Scenario, error) {
	data, err := fs.ReadFile(fsys, path)
	if err != nil {
		return nil, err
	}
	return parse(path, data, cat, true)
}

// Parse reads a scenario from data; name stands for the file in errors. JSON as printed by json.Marshal is read as well.
func Parse(name string, data []byte, cat Catalogues) (*Scenario, error) {
	return parse(name, data, cat, false)
}

func parse(file string, data []byte, cat Catalogues, named bool) (*Scenario, error) {
	r := newReport(file)
	root := readYAML(data, r)
	if root == nil {
		return nil, r.err()
	}
	s := &Scenario{}
	decode(root, s, cat, r)
	validate(s, cat, r)
	if want := s.Metadata.ID + ".yaml"; named && s.Metadata.ID != "" && filepath.Base(file) != want {
		r.addAt("metadata.id", "the file of scenario %q must be called %s, not %s", s.Metadata.ID, want, filepath.Base(file))
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	fillDefaults(s)
	return s, nil
}
