package scenarios_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/matrix"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// record writes the fault phase of each variant's first lane: RELAPSE_RECORD=1 go test ./scenarios -run TestScenarios/.*/nftables writes
// the files again, from runs that passed.
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
		text, err := matrix.Record(ran, v, events).Lines()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("testdata/recorded", s.Metadata.ID+"-"+v.ID+".jsonl"), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
