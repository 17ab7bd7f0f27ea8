package matrix

import (
	"maps"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Overlap is a detector of one scenario that also fires on failures of others, and why that is so.
type Overlap struct {
	// Detector is SCENARIO/DETECTOR, On lists SCENARIO/VARIANT.
	Detector string   `yaml:"detector"`
	On       []string `yaml:"on"`
	Why      string   `yaml:"why"`
}

// Matrix is every detector on every recorded failure.
type Matrix struct {
	// Failures are the recordings, as SCENARIO/VARIANT. Repaired are those of them that the kernel repairs: nothing is to be seen there.
	Failures []string `json:"failures"`
	Repaired []string `json:"repaired"`
	Rows     []Row    `json:"detectors"`
	// Unused are the explained overlaps that did not occur, as DETECTOR on FAILURE.
	Unused []string `json:"unused,omitempty"`
}

// Row is a detector.
type Row struct {
	// Detector is SCENARIO/DETECTOR.
	Detector string `json:"detector"`
	Title    string `json:"title"`
	// Silent is true for one that documents recommend and that is known not to see the failure.
	Silent bool `json:"silent,omitempty"`
	// Own are the recordings of its own scenario that it is for.
	Own []Hit `json:"own"`
	// Others are recordings of other scenarios on which it fires.
	Others []Hit `json:"others"`
	// Recall is the share of its own failures that it sees, Precision the share of its own among the failures that it fires on. Either is
	// null if there are none.
	Recall    *float64 `json:"recall"`
	Precision *float64 `json:"precision"`
}

// Hit is a detector on a recording.
type Hit struct {
	Failure string `json:"failure"`
	Fired   bool   `json:"fired"`
	// Must is whether it must fire.
	Must bool `json:"must,omitempty"`
	// Text is the reading in words.
	Text string `json:"text"`
	// Why explains a failure of another scenario: empty if nobody has.
	Why string `json:"why,omitempty"`
}

// Make holds the detectors of the scenarios against the recordings. Scenarios of which nothing is recorded have no rows.
func Make(scenarios []*scenario.Scenario, recordings []Recording, overlaps []Overlap) Matrix {
	why, met := map[[2]string]string{}, map[[2]string]bool{}
	for _, o := range overlaps {
		for _, on := range o.On {
			why[[2]string{o.Detector, on}] = o.Why
		}
	}
	m := Matrix{Failures: []string{}, Repaired: []string{}}
	for _, r := range recordings {
		m.Failures = append(m.Failures, r.Name())
		if r.Repaired {
			m.Repaired = append(m.Repaired, r.Name())
		}
	}
	for _, s := range scenarios {
		if !slices.ContainsFunc(recordings, func(r Recording) bool { return r.Scenario == s.Metadata.ID }) {
			continue
		}
		for _, d := range s.Detection {
			row := Row{Detector: s.Metadata.ID + "/" + d.ID, Title: d.Title, Silent: d.Expect == scenario.ExpectSilent, Own: []Hit{}, Others: []Hit{}}
			for _, r := range recordings {
				own := r.Scenario == s.Metadata.ID
				result := decide(d, r, own)
				hit := Hit{Failure: r.Name(), Fired: result.Fired, Text: result.Text}
				switch {
				case own && scenario.Applies(d.Variants, r.Variant):
					hit.Must = !r.Repaired && !row.Silent
					row.Own = append(row.Own, hit)
				case !own && result.Fired:
					key := [2]string{row.Detector, r.Name()}
					hit.Why, met[key] = why[key], true
					row.Others = append(row.Others, hit)
				}
			}
			row.rate(m.Repaired)
			m.Rows = append(m.Rows, row)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(why), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if !met[key] {
			m.Unused = append(m.Unused, key[0]+" on "+key[1])
		}
	}
	return m
}

func (r *Row) rate(repaired []string) {
	seen, failures := 0, 0
	for _, hit := range r.Own {
		if slices.Contains(repaired, hit.Failure) {
			continue
		}
		failures++
		if hit.Fired {
			seen++
		}
	}
	share := func(part, whole int) *float64 {
		if whole == 0 {
			return nil
		}
		rate := float64(part) / float64(whole)
		return &rate
	}
	r.Recall, r.Precision = share(seen, failures), share(seen, seen+len(r.Others))
}

// decide runs a detector on a recording. On the recording of another scenario, every node counts as the node that the detector reads: what
// matters is what it would read there, not what the scenario calls the place.
func decide(d scenario.Detector, r Recording, own bool) detect.Result {
	w := r.window()
	if !own {
		watched := (&scenario.Scenario{Detection: []scenario.Detector{d}}).Watched(nil)
		for i, c := range w.Counters {
			for _, look := range watched {
				if strings.HasPrefix(c.On, "node/") && strings.HasPrefix(look.On, "node") {
					w.Counters[i].For = append(slices.Clone(c.For), look.On)
				}
			}
		}
	}
	return d.Use.Config.(detect.Detector).Decide(w)
}

// Wrong lists what is not as it should be: a detector that does not see its own failure, or fires on another that nobody explains, or an
// explanation of what does not occur.
func (m Matrix) Wrong() []string {
	var wrong []string
	for _, row := range m.Rows {
		for _, hit := range row.Own {
			switch {
			case hit.Must && !hit.Fired:
				wrong = append(wrong, row.Detector+" does not fire on its own "+hit.Failure+" ("+hit.Text+")")
			case hit.Fired && !hit.Must:
				wrong = append(wrong, row.Detector+" fires on "+hit.Failure+", where it should be quiet ("+hit.Text+")")
			}
		}
		for _, hit := range row.Others {
			if hit.Why == "" {
				wrong = append(wrong, row.Detector+" fires on "+hit.Failure+", and overlaps.yaml does not say why ("+hit.Text+")")
			}
		}
	}
	for _, text := range m.Unused {
		wrong = append(wrong, "overlaps.yaml explains "+text+", which does not occur")
	}
	return wrong
}
