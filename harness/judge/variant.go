package judge

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// judged is a variant with what claims need of its phases.
type judged struct {
	Variant
	t      *trial
	phases map[string]judgedPhase
}

type judgedPhase struct {
	Phase
	reason string
	pooled *stage
	plan   plan.Phase
	fired  map[string]bool
}

func newTrial(s *scenario.Scenario, v *scenario.Variant, run rundir.Run, r *record) *trial {
	t := &trial{s: s, v: v, r: r, offered: offeredBy(run)}
	t.repaired, t.detection = plan.Repaired(v, t.offered), plan.Detectors(s, v, t.offered)
	t.lanes = plan.Lanes(s, v, t.repaired)
	for _, p := range s.Probes {
		if p.ID != v.Symptom.Probe {
			continue
		}
		t.attempts = plan.Attempts(v, p, scenario.Phase{Kind: "fault"}, run.Repeat)
		if p.Background {
			t.attempts = 1 // as many as fit beside the others
		}
	}
	t.attempts = max(t.attempts, 1)
	return t
}

func (t *trial) lane(b plan.Lane) *lane { return t.r.lane(b.Name) }

func (t *trial) judge() judged {
	j := judged{Variant: Variant{Name: t.v.ID, Outcome: Pass, Phases: []Phase{}}, t: t, phases: map[string]judgedPhase{}}
	results := map[string]map[string]result{} // by lane, then phase
	sick := t.baselineDoubt()
	for _, b := range t.lanes {
		results[b.Branch] = t.judgeLane(b, sick)
	}
	for _, p := range plan.Phases(t.lanes) {
		phase := t.phase(p, results)
		j.phases[phase.Name] = phase
		j.Phases = append(j.Phases, phase.Phase)
		if severity[phase.Outcome] > severity[j.Outcome] {
			j.Outcome, j.Reason = phase.Outcome, phase.reason
		}
	}
	j.Kinds = j.kinds()
	fault := j.phases["fault"].pooled
	hits, trials := count(t.v.Symptom, fault.window)
	low, high := Wilson(hits, trials)
	j.Reproduction = Reproduction{Hits: hits, Trials: trials, Attempts: trials + len(fault.window.Missed), Low: low, High: high}
	if j.Outcome == Pass {
		j.Reason = t.passReason(hits, trials, fault)
		if unseen := t.unseen(); unseen != "" {
			j.Outcome, j.Reason = Inconclusive, unseen
		}
	}
	return j
}

// kinds puts the phases of each kind together.
func (j judged) kinds() []Kind {
	var kinds []Kind
	stages, states := map[string][]*stage{}, map[string][]string{}
	for _, p := range j.Phases {
		of := j.phases[p.Name]
		name := of.plan.Kind
		at := slices.IndexFunc(kinds, func(k Kind) bool { return k.Kind == name })
		if at < 0 {
			at = len(kinds)
			kinds = append(kinds, Kind{Kind: name, Outcome: j.OutcomeOf(name)})
		}
		k := &kinds[at]
		stages[name] = append(stages[name], of.pooled)
		for _, l := range p.Lanes {
			if l.Symptom == nil {
				continue
			}
			k.Lanes++
			if l.Symptom.State != Good {
				k.Unwell++
			}
			states[name] = append(states[name], l.Symptom.State)
		}
	}
	for i, k := range kinds {
		kinds[i].Symptom = j.t.sighting(pool(stages[k.Kind]), states[k.Kind]...)
	}
	return kinds
}

// judgeLane judges the phases of a lane. If the baseline was not healthy or the fault never in effect, nothing may be concluded from
// what came after.
func (t *trial) judgeLane(b plan.Lane, doubt string) map[string]result {
	l := t.lane(b)
	results := map[string]result{}
	for _, p := range b.Phases {
		findings := t.rule(p, b, l.look(p, t.v.Symptom.Probe))
		if doubt != "" && p.Kind != "baseline" {
			doubted := gate("what came before allows conclusions", "it does not: "+doubt, false, "nothing can be concluded: "+doubt)
			findings = append([]finding{doubted}, findings...)
		}
		r := conclude(findings)
		results[p.String()] = r
		if doubt == "" && r.outcome == Inconclusive && (p.Kind == "baseline" || p.Kind == "fault") {
			doubt = r.reason
		}
	}
	return results
}

// sharing returns the lanes that go through a phase.
func (t *trial) sharing(p plan.Phase) []plan.Lane {
	if p.ID == "" {
		return t.lanes
	}
	var some []plan.Lane
	for _, b := range t.lanes {
		if b.Branch == p.ID && (b.Control != nil) == (p.Kind == "control") {
			some = append(some, b)
		}
	}
	return some
}

// phase puts the lanes of a phase together.
func (t *trial) phase(p plan.Phase, results map[string]map[string]result) judgedPhase {
	name := p.String()
	var (
		names  []string
		stages []*stage
		own    []result
	)
	shared := t.sharing(p)
	all := judgedPhase{plan: p, Phase: Phase{Name: name, Outcome: Pass, Probes: map[string]Samples{}}}
	whole := true
	for _, b := range shared {
		l := t.lane(b)
		names, stages, own = append(names, l.name), append(stages, l.stage(name)), append(own, results[b.Branch][name])
		whole = whole && l.stage(name).begun && l.stage(name).ended
	}
	all.pooled = pool(stages)
	var states []string
	for i, b := range shared {
		seen := t.laneSighting(p, b, stages[i])
		all.Lanes = append(all.Lanes, LaneResult{Lane: b.Name, Outcome: own[i].outcome, Symptom: seen})
		if seen != nil {
			states = append(states, seen.State)
		}
	}
	all.Symptom = t.sighting(all.pooled, states...)
	all.Checks = checks(names, own, t.rule(p, shared[0], all.pooled))
	for i, r := range own {
		if severity[r.outcome] > severity[all.Outcome] {
			all.Outcome, all.reason = r.outcome, inLane(r.reason, names[i], len(names))
		}
	}
	if whole {
		certain := all.Outcome != Inconclusive
		for _, f := range t.wideFindings(p, shared, all.pooled) {
			all.Checks = append(all.Checks, Check{What: f.what, Seen: f.seen, OK: f.ok})
			if !certain {
				f.outcome = Inconclusive
			}
			if !f.ok && severity[f.outcome] > severity[all.Outcome] {
				all.Outcome, all.reason = f.outcome, f.reason
			}
		}
	}
	all.Detectors, all.fired = t.detected(p, stages, all.pooled, t.wide(p, p.Fires, t.recorded(shared), all.pooled))
	for _, probe := range t.s.Probes {
		if sum := detect.Summarize(all.pooled.window.All().Probe(probe.ID)); sum.Count > 0 {
			all.Probes[probe.ID] = Samples{Count: sum.Count, Failed: sum.Failed, Min: sum.Fastest, P50: sum.P50, P99: sum.P99, Max: sum.Slow}
		}
	}
	return all
}

func (t *trial) recorded(some []plan.Lane) []*lane {
	var lanes []*lane
	for _, b := range some {
		lanes = append(lanes, t.lane(b))
	}
	return lanes
}

// wideFindings asks the detectors that look at the whole machine, once for all lanes.
func (t *trial) wideFindings(p plan.Phase, shared []plan.Lane, pooled *stage) []finding {
	var findings []finding
	for _, d := range t.detection {
		if fires := plan.Fires(d, p); fires != nil && hostWide(d) {
			findings = append(findings, t.detector(p, d, *fires, decide(d, t.wide(p, fires, t.recorded(shared), pooled))))
		}
	}
	return findings
}

// baselineDoubt is what a detector of the whole machine saw before the fault, which puts every lane in doubt.
func (t *trial) baselineDoubt() string {
	p := t.lanes[0].Phases[0]
	var stages []*stage
	for _, b := range t.lanes {
		stages = append(stages, t.lane(b).look(p, t.v.Symptom.Probe))
	}
	for _, f := range t.wideFindings(p, t.lanes, pool(stages)) {
		if !f.ok {
			return f.reason
		}
	}
	return ""
}
