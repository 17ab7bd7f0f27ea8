package scenarios_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/relapse-k8s/relapse/clusters/offers"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/matrix"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/scenarios"
)

// judged has one line for each recorded failure: what the judge says about it. RELAPSE_JUDGED=1 writes the file again.
const judged = "testdata/judged.txt"

// TestRecordingsAreJudgedAlike: a change of the judge must not change what the recorded failures show. A recording holds only the
// fault phase, so the run as a whole is inconclusive.
func TestRecordingsAreJudgedAlike(t *testing.T) {
	var text strings.Builder
	all, err := matrix.Read(scenarios.Recorded())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		s, err := load.FS(scenarios.Files, r.Scenario+".yaml", catalogue.All())
		if err != nil {
			t.Fatal(err)
		}
		run := rundir.Run{Scenario: r.Scenario, Cluster: "lab", Netns: map[string]uint64{}, Offers: map[string]offers.Offer{}}
		for i, inode := range r.Nodes {
			run.Netns[fmt.Sprintf("%s node/node-%d", r.Lane, i)] = inode
		}
		for _, v := range s.Variants {
			if v.ID == r.Variant {
				run.Offers[v.RepairedBy] = offers.Offer{OK: r.Repaired}
			}
		}
		for _, v := range judge.Judge(s, run, r.Events).Variants {
			for _, p := range v.Phases {
				for _, l := range p.Lanes {
					if l.Lane == r.Lane && p.Name == "fault" {
						fmt.Fprintf(&text, "%s: %s, %s, %d of %d, %d failed\n", r.Name(), l.Symptom.Says, l.Symptom.State, l.Symptom.Hits, l.Symptom.Trials, l.Symptom.Failed)
					}
				}
			}
		}
	}
	if os.Getenv("RELAPSE_JUDGED") != "" {
		if err := os.WriteFile(judged, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(judged)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Error(diff)
	}
}
