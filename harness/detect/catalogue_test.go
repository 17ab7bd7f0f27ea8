package detect_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
)

// The histories are in the form that the engine records, made up from numbers measured on Linux 6.18. They hold the phase fault of one lane, whose probe is lookup and whose node has this namespace.
const (
	recordedLane  = "default/main"
	recordedPhase = "fault"
	recordedProbe = "lookup"
	recordedNode  = 4026532674
)

// TestCatalogue holds every detector against two histories: who cannot fire may not be trusted when quiet, nor the other way
// round.
func TestCatalogue(t *testing.T) {
	for name, settings := range detect.Catalogue {
		t.Run(name, func(t *testing.T) {
			config := settings()
			dir := filepath.Join("testdata", name)
			data, err := os.ReadFile(filepath.Join(dir, "settings.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(data, config); err != nil {
				t.Fatal(err)
			}
			if v, ok := config.(interface{ Validate() error }); ok {
				if err := v.Validate(); err != nil {
					t.Fatal(err)
				}
				if v, ok := settings().(interface{ Validate() error }); ok && v.Validate() == nil {
					t.Error("empty settings are accepted")
				}
			}
			detector, ok := config.(detect.Detector)
			if !ok {
				t.Fatalf("%T is not a detect.Detector", config)
			}
			for file, want := range map[string]bool{"fires.jsonl": true, "quiet.jsonl": false} {
				got := detector.Decide(recorded(t, filepath.Join(dir, file)))
				if got.Fired != want || got.Blind {
					t.Errorf("%s: %+v", file, got)
				}
				if got.Text == "" {
					t.Errorf("%s: no text", file)
				}
			}
		})
	}
}

func recorded(t *testing.T, path string) detect.Window {
	t.Helper()
	events, err := history.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	w := detect.WindowOf(events, recordedLane, recordedPhase, recordedProbe, nil, map[uint64]bool{recordedNode: true})
	if len(w.Counters) == 0 || w.Attempts == 0 {
		t.Fatalf("%s holds no phase %s of lane %s", path, recordedPhase, recordedLane)
	}
	return w
}

// TestNothingToSee: a detector without anything to look at has not been quiet. The kernel's log alone may be empty.
func TestNothingToSee(t *testing.T) {
	for name, settings := range detect.Catalogue {
		got := settings().(detect.Detector).Decide(detect.Window{})
		if _, hostWide := settings().(detect.HostWide); got.Fired || got.Blind == hostWide {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
