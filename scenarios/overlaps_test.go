package scenarios_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/scenarios"
)

// overlap is a detector of one scenario that also fires on the failure of another, and why that is so.
type overlap struct {
	// Detector is SCENARIO/DETECTOR, On lists SCENARIO/VARIANT.
	Detector string   `yaml:"detector"`
	On       []string `yaml:"on"`
	Why      string   `yaml:"why"`
}

// TestOverlaps holds every detector of every scenario against the recorded failures of all: it fires on its own, and on others
// only where testdata/overlaps.yaml says why.
func TestOverlaps(t *testing.T) {
	all := recordings(t)
	data, err := os.ReadFile("testdata/overlaps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var explained []overlap
	if err := yaml.Unmarshal(data, &explained); err != nil {
		t.Fatal(err)
	}
	why := map[[2]string]bool{}
	for _, o := range explained {
		if o.Why == "" {
			t.Errorf("overlap of %s: no reason", o.Detector)
		}
		for _, on := range o.On {
			why[[2]string{o.Detector, on}] = false
		}
	}
	ids, err := scenarios.IDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		t.Run(id, func(t *testing.T) {
			if !slices.ContainsFunc(all, func(r recording) bool { return r.Scenario == id }) {
				t.Skip("no failure of it is recorded; CONTRIBUTING.md says how")
			}
			holdAgainst(t, id, all, why)
		})
	}
}

// holdAgainst asks the detectors of a scenario about all recordings, and marks the overlaps that are explained.
func holdAgainst(t *testing.T, id string, all []recording, why map[[2]string]bool) {
	t.Helper()
	s, err := scenario.LoadFS(scenarios.Files, id+".yaml", catalogue.All())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.Detection {
		for _, r := range all {
			own := r.Scenario == id
			name, got := id+"/"+d.ID, decideOn(d, r, own)
			key := [2]string{name, r.name()}
			_, explained := why[key]
			switch {
			case own && scenario.Applies(d.Variants, r.Variant) && got.Fired != mustFire(d, r):
				t.Errorf("%s on its own %s: fired: %t (%s)", name, r.name(), got.Fired, got.Text)
			case !own && got.Fired != explained:
				t.Errorf("%s on %s: fired: %t (%s), explained: %t", name, r.name(), got.Fired, got.Text, explained)
			}
			if explained {
				why[key] = true
			}
		}
	}
	for key, met := range why {
		if strings.HasPrefix(key[0], id+"/") && !met {
			t.Errorf("overlap of %s on %s is explained, but one of the two is not there", key[0], key[1])
		}
	}
}

func mustFire(d scenario.Detector, r recording) bool {
	return !r.Repaired && d.Expect != scenario.ExpectSilent
}

// decideOn asks a detector about a recording. On a stranger's, every node counts as the one that the detector looks at: what it
// would read there is what matters, not how the scenario calls the place.
func decideOn(d scenario.Detector, r recording, own bool) detect.Result {
	w := r.window()
	if !own {
		watched := (&scenario.Scenario{Detection: []scenario.Detector{d}}).Watched()
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
