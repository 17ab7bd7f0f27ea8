package judge

import (
	"fmt"
	"maps"
	"slices"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Judge says what a run has shown. It never panics, and what it cannot judge is inconclusive.
func Judge(s *scenario.Scenario, run rundir.Run, events []history.Event) (verdict Verdict) {
	defer func() {
		if crash := recover(); crash != nil {
			verdict = blank(run)
			verdict.Reason = fmt.Sprintf("the judge crashed: %v", crash)
		}
	}()
	return judgeRun(s, run, events)
}

// blank is the verdict on a run about which nothing is known.
func blank(run rundir.Run) Verdict {
	return Verdict{
		Scenario: run.Scenario, Cluster: run.Cluster, Proxy: run.Proxy, Outcome: Inconclusive,
		Variants: []Variant{}, Claims: []Claim{}, Restored: Restored{Differences: []string{}},
	}
}

func judgeRun(s *scenario.Scenario, run rundir.Run, events []history.Event) Verdict {
	r := read(events, run)
	verdict := blank(run)
	verdict.Scenario = s.Metadata.ID
	ran := map[string]judged{}
	var lanes []string
	outcome := Skipped
	for i := range s.Variants {
		v := &s.Variants[i]
		one := Variant{Name: v.ID, Phases: []Phase{}}
		if why, skipped := run.Skipped[v.ID]; skipped {
			one.Outcome, one.Reason = Skipped, why
		} else {
			j := newTrial(s, v, run, r).judge()
			for _, b := range j.t.lanes {
				lanes = append(lanes, b.Name)
			}
			ran[v.ID], one = j, j.Variant
		}
		verdict.Variants = append(verdict.Variants, one)
		outcome = Worst(outcome, one.Outcome)
	}
	for _, c := range s.Claims {
		verdict.Claims = append(verdict.Claims, judgeClaim(c, run, ran))
	}
	if len(ran) == 0 && len(s.Variants) > 0 {
		verdict.Outcome, verdict.Reason = Skipped, summary(s, verdict.Variants, Skipped)
	} else {
		verdict.Outcome, verdict.Reason = outcome, summary(s, verdict.Variants, outcome)
	}
	verdict.Restored = restored(r, lanes)
	verdict.whole(s, r, lanes, len(ran), len(events))
	return verdict
}

// whole adds what concerns the run as a whole: errors, the host, claims.
func (v *Verdict) whole(s *scenario.Scenario, r *record, lanes []string, ran, events int) {
	worsen := func(to Outcome, reason string) {
		if severity[to] > severity[v.Outcome] {
			v.Outcome, v.Reason = to, reason
		}
	}
	switch {
	case len(s.Variants) == 0:
		v.Outcome, v.Reason = Inconclusive, "the scenario has no variants"
	case ran > 0 && events == 0:
		v.Outcome, v.Reason = Inconclusive, "the history is empty"
	}
	// Phases that were never reached are explained by the error of the whole run, unless a lane has one of its own.
	failed := slices.ContainsFunc(lanes, func(name string) bool { return len(r.lane(name).errors) > 0 })
	if v.Outcome == Inconclusive && !failed && len(r.host.errors) > 0 {
		v.Reason = "the run broke down: " + r.host.errors[0]
	}
	for _, f := range hostFindings(r, lanes) {
		// If every variant was skipped, nothing was done to the host: its fingerprint is not needed.
		if ran > 0 || f.hard || f.what != "" {
			worsen(f.outcome, f.reason)
		}
	}
	for _, c := range v.Claims {
		if outcome, reason := failureOf(c); reason != "" {
			worsen(outcome, reason)
		}
	}
}

func sortedLanes(r *record) []string { return slices.Sorted(maps.Keys(r.lanes)) }
