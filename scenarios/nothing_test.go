package scenarios_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/relapse-k8s/relapse/faults/clusterwide"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// nothing runs a scenario with changes that do nothing in place of its faults, and of its remedies and controls. What passes then checks
// nothing; and it must be for the right reason that it does not pass.
func nothing(t *testing.T, id string, b *bench) {
	for kind, alter := range map[string]struct {
		empty func(*scenario.Scenario)
		check func(*entry, *scenario.Scenario, rundir.Run, []history.Event)
	}{
		"no-fault": {withoutFault, wantNoFailure},
		"no-cures": {withoutCures, wantNoCures},
	} {
		t.Run(id+"/"+kind, func(t *testing.T) {
			s, e := loaded(t, id), book.enter(t)
			skipKubernetes(e, s)
			alter.empty(s)
			source, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			m := b.want(kind, run.Options{Scenario: s, Source: source})
			b.wait(e, m)
			ran, events := recall(t, m.dir)
			alter.check(e, s, ran, events)
		})
	}
}

// recall reads what a run was and saw.
func recall(t *testing.T, dir string) (ran rundir.Run, events []history.Event) {
	t.Helper()
	if err := rundir.ReadJSON(dir, rundir.RunFile, &ran); err != nil {
		t.Fatal(err)
	}
	events, err := history.Read(filepath.Join(dir, rundir.HistoryFile))
	if err != nil {
		t.Fatal(err)
	}
	return ran, events
}

// empty makes steps do nothing. They keep their ids and places, so that references to them stay valid.
func empty(steps []scenario.Step) {
	for i := range steps {
		steps[i].Use = scenario.Use{Name: "nothing", Config: &clusterwide.Nothing{}}
	}
}

// withoutFault leaves one lane of each variant, whose fault does nothing. Nothing waits for it to take effect: its proof must do.
func withoutFault(s *scenario.Scenario) {
	s.Remedies, s.Controls, s.Claims, s.Differences, s.Topology.Exclusive = nil, nil, nil, nil, false
	for i := range s.Variants {
		fault := &s.Variants[i].Fault
		empty(fault.Changes)
		fault.Effective = nil
	}
}

// wantNoFailure: by its proof the fault was never in effect. Without proof the failure did not come back: on a healthy cluster nothing
// looks like it, also where the failure is repaired.
func wantNoFailure(e *entry, s *scenario.Scenario, ran rundir.Run, events []history.Event) {
	want(e, judge.Judge(s, ran, events), judge.Inconclusive, "the fault was never in effect: ")
	for i := range s.Variants {
		v := &s.Variants[i]
		v.Fault.Proof, v.Fault.StillApplied, v.RepairedBy = nil, nil, ""
	}
	want(e, judge.Judge(s, ran, events), judge.Fail, "the failure did not come back under the fault: ")
}

// withoutCures makes remedies and controls do nothing. Nothing waits for those to take effect that must show the symptom or health by
// themselves, or by their own proof.
func withoutCures(s *scenario.Scenario) {
	for i := range s.Remedies {
		empty(s.Remedies[i].Changes)
		s.Remedies[i].Effective = nil
	}
	for i := range s.Controls {
		c := &s.Controls[i]
		empty(c.With)
		empty(c.Instead)
		if len(c.Instead) > 0 {
			c.Effective = nil
		}
	}
}

// wantNoCures judges the run as if the scenario had one remedy, or one control, after the other, so that each gives its own reason.
func wantNoCures(e *entry, s *scenario.Scenario, ran rundir.Run, events []history.Event) {
	remedies, controls := s.Remedies, s.Controls
	offered := func(need string) bool { return ran.Offers[need].OK }
	for _, v := range s.Variants {
		if ran.Skipped[v.ID] != "" || plan.Repaired(&v, offered) {
			continue
		}
		one := *s
		one.Variants = []scenario.Variant{v}
		for i, r := range remedies {
			if one.Remedies, one.Controls = remedies[i:i+1], nil; scenario.Applies(r.Variants, v.ID) {
				want(e, judge.Judge(&one, ran, events), judge.Fail, "remedy "+r.ID+" did not cure it: ")
			}
		}
		for i, c := range controls {
			if one.Remedies, one.Controls = nil, controls[i:i+1]; scenario.Applies(c.Variants, v.ID) {
				want(e, judge.Judge(&one, ran, events), judge.Inconclusive, "control "+c.ID+" was never in effect: ")
			}
		}
	}
}

// want checks how every variant that ran is judged, and why.
func want(e *entry, verdict judge.Verdict, outcome judge.Outcome, reason string) {
	e.Helper()
	if len(verdict.Variants) == 0 {
		e.Errorf("%s", verdict.Reason)
	}
	for _, v := range verdict.Variants {
		if v.Outcome != judge.Skipped && (v.Outcome != outcome || !strings.HasPrefix(v.Reason, reason)) {
			e.Errorf("%s must be %s (%s…), but it is %s: %s", v.Name, outcome, reason, v.Outcome, v.Reason)
		}
	}
}
