// Package plan says what a run does: the lanes of a variant, the phases of a lane, and what makes each phase. The engine follows
// it, the judge compares the history with it, and relapse show --plan prints it. It is pure.
package plan

import (
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Lane is one cluster going through the phases, with one remedy, or one control, or neither.
type Lane struct {
	// Name is VARIANT/BRANCH, where the branch is the remedy's or control's id, or main.
	Name, Branch string
	Remedy       *scenario.Remedy
	Control      *scenario.Control
	Phases       []Phase
}

// Phase is what makes a phase: changes, then waits, then samples.
type Phase struct {
	scenario.Phase
	// Undo lists steps to undo first, last one first; Apply lists steps to make then.
	Undo, Apply []scenario.Step
	// During lists steps to make while samples are taken, each when its time has come.
	During []scenario.Step
	// Settles is whether the probes are waited for until they are well.
	Settles bool
	// Until lists readings to wait for before anything is sampled.
	Until []scenario.ReadingExpectation
	// Proof lists readings that show what was in effect while the samples were taken.
	Proof []scenario.ReadingExpectation
	// Symptom is whether the failure must show.
	Symptom bool
	// Captures is whether packets are captured where the symptom is noticed; Collects is whether the documented commands' output
	// is kept.
	Captures, Collects bool
	// Fires is whether the detectors must fire or be quiet; nil where they are only shown: in a near miss that stays healthy, a
	// detector that fires does not fail the run, but is worth seeing, or a claim.
	Fires *bool
	// StillFires lists the ids of detectors that must fire all the same.
	StillFires []string
	// Leaves is the share of attempts that may show the failure where it must not show.
	Leaves units.Percent
}

// Lanes splits a variant into lanes: one for each remedy and each control, so that a run takes as long as its slowest remedy.
// If the failure is repaired, there is nothing to cure and one lane is enough.
func Lanes(s *scenario.Scenario, v *scenario.Variant, repaired bool) []Lane {
	var lanes []Lane
	add := func(branch string, remedy *scenario.Remedy, control *scenario.Control) {
		l := Lane{Name: v.ID + "/" + branch, Branch: branch, Remedy: remedy, Control: control}
		l.Phases = phases(v, l, repaired)
		for i := range l.Phases {
			p := &l.Phases[i]
			p.Captures = p.Kind != "baseline" && p.Kind != "restored"
			p.Collects = len(lanes) == 0 && (p.Kind == "baseline" || p.Kind == "fault")
		}
		lanes = append(lanes, l)
	}
	if !repaired {
		for i := range s.Remedies {
			if r := &s.Remedies[i]; scenario.Applies(r.Variants, v.ID) {
				add(r.ID, r, nil)
			}
		}
		for i := range s.Controls {
			if c := &s.Controls[i]; scenario.Applies(c.Variants, v.ID) {
				add(c.ID, nil, c)
			}
		}
	}
	if len(lanes) == 0 {
		add("main", nil, nil)
	}
	return lanes
}

func phases(v *scenario.Variant, l Lane, repaired bool) []Phase {
	yes, no := true, false
	fault := v.Fault
	now, later := timed(fault.Changes)
	course := []Phase{
		{Phase: scenario.Phase{Kind: "baseline"}, Settles: true, Fires: &no},
		{Phase: scenario.Phase{Kind: "fault"}, Apply: now, During: later, Until: fault.Effective, Proof: fault.Proof, Symptom: !repaired, Fires: when(!repaired)},
	}
	left := slices.Concat(now, later)
	switch {
	case l.Remedy != nil:
		cure, laterCure := timed(l.Remedy.Changes)
		course = append(course,
			Phase{
				Phase: scenario.Phase{Kind: "remedy", ID: l.Branch}, Undo: later, Apply: cure, During: slices.Concat(later, laterCure), Until: l.Remedy.Effective,
				Proof: fault.StillApplied, Fires: &no, StillFires: l.Remedy.StillFires, Leaves: l.Remedy.Leaves,
			},
			Phase{
				Phase: scenario.Phase{Kind: "relapse", ID: l.Branch}, Undo: slices.Concat(cure, later, laterCure), During: later,
				Until: join(fault.Effective, l.Remedy.Relapse), Proof: fault.Proof, Symptom: true, Fires: &yes,
			})
	case l.Control != nil:
		p := control(fault, l.Control)
		course = append(course, p)
		left = slices.Concat(p.Apply, p.During)
		if len(l.Control.Instead) == 0 {
			left = slices.Concat(now, left)
		}
	}
	return append(course, Phase{Phase: scenario.Phase{Kind: "restored"}, Undo: left, Settles: true, Fires: &no})
}

// control follows the scenario's format: beside the fault the fault's own readings count too, in place of it only the control's.
func control(fault scenario.Fault, c *scenario.Control) Phase {
	now, later := timed(fault.Changes)
	p := Phase{Phase: scenario.Phase{Kind: "control", ID: c.ID}, Symptom: c.Expect == "symptom", Proof: c.Proof}
	if p.Symptom {
		p.Fires = when(true)
	}
	if len(c.Instead) > 0 {
		// A near miss takes the fault's place.
		p.Undo, p.Until = slices.Concat(now, later), c.Effective
		p.Apply, p.During = timed(c.Instead)
		return p
	}
	p.Undo, p.Until = later, join(fault.Effective, c.Effective)
	p.Apply, p.During = timed(c.With)
	p.During = slices.Concat(later, p.During)
	switch {
	case p.Symptom:
		p.Proof = join(fault.Proof, c.Proof)
	case len(c.Proof) == 0:
		// Health beside a fault says something only where the fault was still there.
		p.Proof = fault.StillApplied
	}
	return p
}

// timed splits steps into those that are made before anything is sampled, and those that are made later.
func timed(steps []scenario.Step) (now, later []scenario.Step) {
	for _, step := range steps {
		if step.After > 0 {
			later = append(later, step)
		} else {
			now = append(now, step)
		}
	}
	return now, later
}

// Phases returns the phases of several lanes, each once, in the order in which they are reported.
func Phases(lanes []Lane) []Phase {
	first := lanes[0].Phases
	all := slices.Clone(first[:2])
	for _, l := range lanes {
		all = append(all, l.Phases[2:len(l.Phases)-1]...)
	}
	return append(all, first[len(first)-1])
}

// Attempts is how many attempts a probe makes in a phase; repeat is what a person asked for of the symptom's probe, or 0.
func Attempts(v *scenario.Variant, probe scenario.Probe, phase scenario.Phase, repeat int) int {
	if repeat > 0 && probe.ID == v.Symptom.Probe && phase.Kind != "restored" {
		return repeat
	}
	return probe.Attempts
}

// MaxRepeat is how many attempts can be asked for in place of the scenario's own: a run of so many is still a history that can be read.
const MaxRepeat = 2000

// AttemptLimit is how many attempts are made at most to get so many trials, which are attempts that the fault met.
func AttemptLimit(trials int) int { return 2*trials + 10 }

// Repaired reports whether the failure is not expected to show on a cluster; offered says what the cluster offers.
func Repaired(v *scenario.Variant, offered func(need string) bool) bool {
	return v.RepairedBy != "" && offered(v.RepairedBy)
}

// Detectors returns the detectors of a variant that can be asked on a cluster; offered says what the cluster offers.
func Detectors(s *scenario.Scenario, v *scenario.Variant, offered func(need string) bool) []scenario.Detector {
	var all []scenario.Detector
	for _, d := range s.Detection {
		missing := slices.ContainsFunc(d.Needs, func(need string) bool { return !offered(need) })
		if scenario.Applies(d.Variants, v.ID) && !missing {
			all = append(all, d)
		}
	}
	return all
}

// Fires is whether a detector must fire in a phase, or be quiet (nil: neither). One that is documented to see the failure and
// does not must be quiet in every phase.
func Fires(d scenario.Detector, p Phase) *bool {
	if d.Expect == scenario.ExpectSilent {
		return when(false)
	}
	if slices.Contains(p.StillFires, d.ID) {
		return when(true)
	}
	return p.Fires
}

func when(so bool) *bool { return &so }

func join(a, b []scenario.ReadingExpectation) []scenario.ReadingExpectation {
	return slices.Concat(a, b)
}
