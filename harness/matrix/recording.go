// Package matrix holds the detectors of all scenarios against the recorded failures of all scenarios: which detector fires on which
// failure. It is pure.
package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Recording is the fault phase of one lane of a run that passed.
type Recording struct {
	Scenario string `json:"scenario"`
	Variant  string `json:"variant"`
	Lane     string `json:"lane"`
	Probe    string `json:"probe"`
	// Nodes are the inodes of the nodes' network namespaces.
	Nodes []uint64 `json:"nodes"`
	// Repaired is true if the failure does not happen on the kernel any more.
	Repaired bool `json:"repaired,omitempty"`
	// Kernel is the kernel version, without a distributor's suffix.
	Kernel string `json:"kernel"`
	// Events are those that detectors read.
	Events []history.Event `json:"-"`
}

var kernelVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+`)

// Record takes the fault phase of a variant's first lane from a run's history.
func Record(run rundir.Run, v scenario.Variant, events []history.Event) Recording {
	r := Recording{Scenario: run.Scenario, Variant: v.ID, Probe: v.Symptom.Probe, Repaired: run.Offers[v.RepairedBy].OK}
	r.Kernel = kernelVersion.FindString(run.Versions["kernel"])
	for _, e := range events {
		if r.Lane == "" && e.Kind == history.PhaseBegin && e.Phase == "fault" && strings.HasPrefix(e.Lane, v.ID+"/") {
			r.Lane = e.Lane
		}
	}
	for place, inode := range run.Netns {
		if strings.HasPrefix(place, r.Lane+" node/") {
			r.Nodes = append(r.Nodes, inode)
		}
	}
	from, to, _ := detect.Span(events, r.Lane, "fault")
	for _, e := range events {
		ours := e.Lane == r.Lane && e.Phase == "fault"
		switch e.Kind {
		case history.PhaseBegin, history.PhaseEnd, history.KindSample:
		case history.KindReading:
			ours = ours && e.Reading.At != ""
		case history.KindLog:
			ours = (e.Lane == "" || e.Lane == r.Lane) && e.T >= from && e.T <= to
		default:
			ours = false
		}
		if ours {
			r.Events = append(r.Events, e)
		}
	}
	return r
}

// Name is SCENARIO/VARIANT.
func (r Recording) Name() string { return r.Scenario + "/" + r.Variant }

// Lines are the recording as it is kept in a file: a header, then an event in each line.
func (r Recording) Lines() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(r)
	for _, e := range r.Events {
		if err == nil {
			err = encoder.Encode(e)
		}
	}
	return out.Bytes(), err
}

// Read reads all recordings of a folder, by their names.
func Read(folder fs.FS) ([]Recording, error) {
	paths, err := fs.Glob(folder, "*.jsonl")
	if err != nil {
		return nil, err
	}
	var all []Recording
	for _, path := range paths {
		text, err := fs.ReadFile(folder, path)
		if err != nil {
			return nil, err
		}
		head, rest, _ := strings.Cut(string(text), "\n")
		var r Recording
		if err := json.Unmarshal([]byte(head), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for line := range strings.Lines(rest) {
			var e history.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			r.Events = append(r.Events, e)
		}
		all = append(all, r)
	}
	return all, nil
}

func (r Recording) window() detect.Window {
	nodes := map[uint64]bool{}
	for _, inode := range r.Nodes {
		nodes[inode] = true
	}
	return detect.WindowOf(r.Events, r.Lane, "fault", r.Probe, nil, nodes)
}
