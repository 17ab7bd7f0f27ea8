package scenarios_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/scenarios"
)

// overlap is a detector of one scenario that also fires on the failure of another, and why that is so.
type overlap struct {
	// Detector is SCENARIO/DETECTOR, On lists SCENARIO/VARIANT.
	Detector string   `yaml:"detector"`
	On       []string `yaml:"on"`
	Why      string   `yaml:"why"`
}

// TestOverlaps runs every detector of every scenario on all recorded failures. A detector must fire on the failure of its own
// scenario, and may fire on others only if testdata/overlaps.yaml says why.
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
			t.Errorf("testdata/overlaps.yaml: the entry of %s needs a reason in why", o.Detector)
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
				t.Skip("no failure of this scenario is recorded; CONTRIBUTING.md says how to record one")
			}
			holdAgainst(t, id, all, why)
		})
	}
}

// holdAgainst runs the detectors of a scenario on all recordings, and marks the explained overlaps that it met.
func holdAgainst(t *testing.T, id string, all []recording, why map[[2]string]bool) {
	t.Helper()
	s, err := load.FS(scenarios.Files, id+".yaml", catalogue.All())
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
			t.Errorf("testdata/overlaps.yaml explains an overlap of %s on %s, but this detector or this recording does not exist", key[0], key[1])
		}
	}
}

func mustFire(d scenario.Detector, r recording) bool {
	return !r.Repaired && d.Expect != scenario.ExpectSilent
}

// decideOn runs a detector on a recording. On the recording of another scenario, every node counts as the node that the detector
// reads: what matters is what it would read there, not what the scenario calls the place.
func decideOn(d scenario.Detector, r recording, own bool) detect.Result {
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
