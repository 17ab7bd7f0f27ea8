package scenarios_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// recorded is the folder with the fault phases of real runs, one file for each variant. RELAPSE_RECORD=1 go test ./scenarios -run
// TestScenarios/.*/nftables writes the files again, from runs that passed.
const recorded = "testdata/recorded"

// recording is the fault phase of one lane of a run.
type recording struct {
	Scenario string   `json:"scenario"`
	Variant  string   `json:"variant"`
	Lane     string   `json:"lane"`
	Probe    string   `json:"probe"`
	Nodes    []uint64 `json:"nodes"`
	Repaired bool     `json:"repaired,omitempty"`
	// Kernel is the kernel version, without a distributor's suffix.
	Kernel string          `json:"kernel"`
	Events []history.Event `json:"-"`
}

var kernelVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+`)

func (r recording) name() string { return r.Scenario + "/" + r.Variant }

func (r recording) window() detect.Window {
	nodes := map[uint64]bool{}
	for _, inode := range r.Nodes {
		nodes[inode] = true
	}
	return detect.WindowOf(r.Events, r.Lane, "fault", r.Probe, nil, nodes)
}

// record writes the fault phase of each variant's first lane: a header, then the events that detectors read.
func record(t *testing.T, dir string, s *scenario.Scenario) {
	t.Helper()
	var ran rundir.Run
	if err := rundir.ReadJSON(dir, rundir.RunFile, &ran); err != nil {
		t.Fatal(err)
	}
	events, err := history.Read(filepath.Join(dir, rundir.HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Variants {
		if _, skipped := ran.Skipped[v.ID]; skipped {
			continue
		}
		r := recording{Scenario: s.Metadata.ID, Variant: v.ID, Probe: v.Symptom.Probe, Repaired: ran.Offers[v.RepairedBy].OK}
		r.Kernel = kernelVersion.FindString(ran.Versions["kernel"])
		for _, e := range events {
			if r.Lane == "" && e.Kind == history.PhaseBegin && e.Phase == "fault" && strings.HasPrefix(e.Lane, v.ID+"/") {
				r.Lane = e.Lane
			}
		}
		for place, inode := range ran.Netns {
			if strings.HasPrefix(place, r.Lane+" node/") {
				r.Nodes = append(r.Nodes, inode)
			}
		}
		from, to, _ := detect.Span(events, r.Lane, "fault")
		var text strings.Builder
		line := func(v any) {
			data, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&text, "%s\n", data)
		}
		line(r)
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
				line(e)
			}
		}
		path := filepath.Join(recorded, s.Metadata.ID+"-"+v.ID+".jsonl")
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func recordings(t *testing.T) []recording {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(recorded, "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []recording
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		head, rest, _ := strings.Cut(string(data), "\n")
		var r recording
		if err := json.Unmarshal([]byte(head), &r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		for line := range strings.Lines(rest) {
			var e history.Event
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			r.Events = append(r.Events, e)
		}
		all = append(all, r)
	}
	return all
}
