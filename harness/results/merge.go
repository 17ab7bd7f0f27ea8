package results

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// Merged says what a merge has done, in numbers of files.
type Merged struct {
	// New files were copied, Known were there already, and Repaired are those that were damaged here and sound there.
	New      int `json:"new"`
	Known    int `json:"known"`
	Repaired int `json:"repaired"`
	// Salvaged are damaged files of which the whole lines were copied.
	Salvaged int `json:"salvaged"`
}

// Merge copies what another store has and this one has not, also lines of newer formats. It may be done in any order and more than once.
// Problems are what of the other store could not be copied.
func (s *Store) Merge(ctx context.Context, other *Store) (Merged, []Problem, error) {
	var m Merged
	var problems []Problem
	ours, err := s.names()
	if err != nil {
		return m, nil, err
	}
	segs, err := other.segments(Selection{}.Since, Selection{}.Until)
	if err != nil {
		return m, nil, err
	}
	here, err := regular.Open(s.dir)
	if err != nil {
		return m, nil, err
	}
	defer here.Close()
	there, err := regular.Open(other.dir)
	if err != nil {
		return m, nil, err
	}
	defer there.Close()
	for _, seg := range segs {
		if ctx.Err() != nil {
			return m, problems, context.Cause(ctx)
		}
		_, known := ours[seg.name]
		if known && sizeIn(there, seg) == sizeIn(here, seg) {
			m.Known++
			continue
		}
		packed, lines, damage := other.load(there, seg)
		for _, p := range damage {
			p.File = filepath.Join(other.dir, p.File)
			problems = append(problems, p)
		}
		switch {
		case len(damage) > 0 && known:
			m.Known++
		case len(damage) > 0:
			m.Salvaged++
			err = s.append(seg.day, whole(lines))
		case !known:
			m.New++
			err = s.write(seg, packed)
		default:
			if _, _, bad := s.load(here, seg); len(bad) == 0 {
				m.Known++ // compressed in another way
				continue
			}
			m.Repaired++
			err = s.write(seg, packed)
		}
		if err != nil {
			return m, problems, err
		}
	}
	return m, problems, nil
}

// names are those of this store's files.
func (s *Store) names() (map[string]bool, error) {
	segs, err := s.segments(Selection{}.Since, Selection{}.Until)
	names := make(map[string]bool, len(segs))
	for _, seg := range segs {
		names[seg.name] = true
	}
	return names, err
}

// sizeIn is the size of a file in bytes, or -1.
func sizeIn(root *regular.Folder, seg segment) int64 {
	file, err := root.Open(seg.name)
	if err != nil {
		return -1
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return -1
	}
	return info.Size()
}

// whole are those lines of a damaged file that are JSON objects, of whatever format.
func whole(text []byte) [][]byte {
	var lines [][]byte
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		var object map[string]json.RawMessage
		if json.Unmarshal(line, &object) == nil && len(line) < maxLine {
			lines = append(lines, line)
		}
	}
	return lines
}
