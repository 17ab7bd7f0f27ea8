package load

import (
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func (v *validator) variantList() {
	variants := v.s.Variants
	v.atLeastOne("variants", len(variants), "give at least one variant")
	if len(variants) == 1 && variants[0].ID != "default" && variants[0].ID != "" {
		v.r.addAt("variants[0].id", "a single variant is called default")
	}
	for i, variant := range variants {
		path := index("variants", i)
		v.fault(path+".fault", variant.Fault)
		v.symptom(path + ".symptom")
		v.shown(path+".symptom.share", variant.Symptom.Share)
		if !v.recorded {
			v.without(path, variant)
		}
		for _, probe := range v.s.Probes {
			if probe.ID == variant.Symptom.Probe && !scenario.Applies(probe.Variants, variant.ID) {
				v.r.addAt(path+".symptom.probe", "probe %q does not apply to variant %q", probe.ID, variant.ID)
			}
		}
		v.hostChanges(path, variant)
		v.wellProbed(path, variant)
		v.provenPerAttempt(path, variant)
	}
}

// wellProbed checks that attempts of the symptom's probe that all fail are not healthy: a cure could break the probe.
func (v *validator) wellProbed(path string, variant scenario.Variant) {
	known := func(id string) bool {
		return slices.ContainsFunc(v.s.Probes, func(p scenario.Probe) bool { return p.ID == id })
	}
	if v.r.blocked("healthy") || v.r.broken("healthy") || !known(variant.Symptom.Probe) {
		return
	}
	if !slices.ContainsFunc(v.s.Healthy, func(e scenario.ProbeExpectation) bool {
		// What is wrong with an expectation is said there.
		return !known(e.Probe) || e.Probe == variant.Symptom.Probe && (e.Failed == nil || e.Failed.Max != nil || e.Failed.Min == nil)
	}) {
		v.r.addAt(path, "healthy does not say how many attempts of %q, the symptom's probe, fail at most: give failed.max", variant.Symptom.Probe)
	}
}

// curedHow checks that a cure with which attempts of the symptom's probe fail says so in words.
func (v *validator) curedHow(path string, remedy scenario.Remedy, variants []int) {
	for _, i := range variants {
		if i < 0 || remedy.Healthy == nil || remedy.Caveat != "" || v.r.broken(join(path, "healthy")) {
			continue
		}
		probe := v.s.Variants[i].Symptom.Probe
		if !slices.ContainsFunc(remedy.Healthy, func(e scenario.ProbeExpectation) bool {
			return e.Probe == probe && e.Failed != nil && e.Failed.Max != nil
		}) {
			v.r.addAt(join(path, "healthy"), "attempts of %q, the symptom's probe, may fail: give its failed.max, or say in caveat what the cure does to them", probe)
			return
		}
	}
}

// mostLeft is the largest share of attempts that a remedy may leave: with more it cures nothing.
const mostLeft units.Percent = 0.2

// leaves checks that a remedy that leaves some attempts says so, and still makes a difference.
func (v *validator) leaves(path string, remedy scenario.Remedy, variants []int) {
	switch {
	case remedy.Leaves == 0 || v.r.broken(path):
		return
	case remedy.Leaves > mostLeft:
		v.r.addAt(path, "must be at most %s: a remedy that leaves more does not cure", mostLeft)
	case remedy.Caveat == "":
		v.r.addAt(path, "the failure may still happen: say in caveat how rarely")
	}
	for _, i := range variants {
		if i < 0 {
			continue
		}
		if share := v.s.Variants[i].Symptom.Share; share != nil && share.Min != nil && *share.Min <= remedy.Leaves {
			v.r.addAt(path, "must be less than the share of attempts that show the symptom in variant %q, %s", v.s.Variants[i].ID, share)
		}
	}
}

// provenPerAttempt checks that a variant without a symptom proves the fault in each attempt.
func (v *validator) provenPerAttempt(path string, variant scenario.Variant) {
	if variant.RepairedBy == "" || v.r.broken(path+".fault.proof") || v.r.broken(path+".fault.changes") || v.recorded {
		return
	}
	if !slices.ContainsFunc(variant.Fault.Proof, func(e scenario.ReadingExpectation) bool {
		keys, known := v.keysOf(e)
		return known && keys[e.Key].Meets && e.RisePerAttempt != nil && e.RisePerAttempt.Min != nil && *e.RisePerAttempt.Min > 0
	}) {
		v.r.addAt(path+".fault.proof", "where the failure is repaired, each attempt has to meet the fault: give a risePerAttempt of a change that tells which attempts it met, such as hold-pairs")
	}
}

func (v *validator) fault(path string, fault scenario.Fault) {
	v.atLeastOne(join(path, "changes"), len(fault.Changes), "a fault changes something: give at least one change")
	steps := v.steps(join(path, "changes"), fault.Changes, names{})
	v.readings(join(path, "effective"), fault.Effective, madeBefore(steps, v.allSteps()))
	v.atLeastOne(join(path, "proof"), len(fault.Proof), "a fault without proof cannot be told from no fault: give at least one reading")
	v.readings(join(path, "proof"), fault.Proof, steps)
	v.proves(join(path, "proof"), fault.Proof)
	v.readings(join(path, "stillApplied"), fault.StillApplied, steps)
}

func (v *validator) symptom(path string) {
	if attempt := join(path, "attempt"); !v.r.has(join(attempt, "failed")) && !v.r.has(join(attempt, "took")) {
		v.r.addAt(attempt, "say when an attempt shows the symptom: give failed, took or both")
	}
}

// hostChanges holds what a variant says of the whole machine against what its steps do to it.
func (v *validator) hostChanges(path string, variant scenario.Variant) {
	said := join(path, "hostChanges")
	if v.r.blocked(said) {
		return
	}
	touches := false
	check := func(path string, steps []scenario.Step) {
		for i, step := range steps {
			if step.On != "host" {
				continue
			}
			touches = true
			if !variant.HostChanges {
				v.r.addAt(join(index(path, i), "on"), "alters the whole machine, so variant %q needs hostChanges: true", variant.ID)
			}
		}
	}
	check(path+".fault.changes", variant.Fault.Changes)
	for i, remedy := range v.s.Remedies {
		if scenario.Applies(remedy.Variants, variant.ID) {
			check(index("remedies", i)+".changes", remedy.Changes)
		}
	}
	for i, control := range v.s.Controls {
		if scenario.Applies(control.Variants, variant.ID) {
			check(index("controls", i)+".with", control.With)
			check(index("controls", i)+".instead", control.Instead)
		}
	}
	if variant.HostChanges && !touches && !v.r.broken(path+".fault.changes") {
		v.r.addAt(said, "no step of this variant is on: host, so nothing alters the whole machine")
	}
}

func (v *validator) detectorList() {
	for i, detector := range v.s.Detection {
		path := index("detection", i)
		v.readingsIn(join(path, detector.Use.Name), detector.Use.Config, v.faultSteps(v.variantsOf(path, detector.Variants)))
		v.logLine(join(path, detector.Use.Name), detector.Use.Config)
		v.heard(path, detector)
	}
}

func (v *validator) remedyList() {
	v.atLeastOne("remedies", len(v.s.Remedies), "give at least one cure: only what can be cured on purpose was understood")
	for i, remedy := range v.s.Remedies {
		path := index("remedies", i)
		variants := v.variantsOf(path, remedy.Variants)
		v.atLeastOne(join(path, "changes"), len(remedy.Changes), "a remedy changes something: give at least one change")
		on := beside(v.faultSteps(variants), v.steps(join(path, "changes"), remedy.Changes, v.takenSteps(variants)), remedy.Changes)
		v.curedHow(path, remedy, variants)
		v.leaves(join(path, "leaves"), remedy, variants)
		v.readings(join(path, "effective"), remedy.Effective, madeBefore(on, v.allSteps()))
		// The cure is withdrawn then: what is left to read is the fault's.
		v.readings(join(path, "relapse"), remedy.Relapse, v.faultSteps(variants))
	}
}

// beside returns the ids of a fault's steps and of steps made beside them.
func beside(fault, checked names, steps []scenario.Step) names {
	fault.unsure = fault.unsure || checked.unsure
	for _, step := range steps {
		if step.ID != "" {
			fault.list = append(fault.list, step.ID)
		}
	}
	return fault
}

func (v *validator) controlList() {
	for i, control := range v.s.Controls {
		path := index("controls", i)
		with, instead := join(path, "with"), join(path, "instead")
		variants := v.variantsOf(path, control.Variants)
		var on names
		switch hasWith, hasInstead := v.r.has(with), v.r.has(instead); {
		case hasWith && hasInstead:
			v.r.addAt(path, "with and instead are given: a control does one of the two")
		case !hasWith && !hasInstead:
			v.r.addAt(path, "nothing is tried: give with (beside the fault) or instead (in place of it)")
		case hasInstead && control.Expect == "symptom":
			v.r.addAt(instead, "expect: symptom is for a wrong cure beside the fault: use with")
		}
		if v.r.has(instead) {
			v.atLeastOne(instead, len(control.Instead), "give at least one change")
			on = v.steps(instead, control.Instead, names{})
		}
		if v.r.has(with) {
			v.atLeastOne(with, len(control.With), "give at least one change")
			on = beside(v.faultSteps(variants), v.steps(with, control.With, v.takenSteps(variants)), control.With)
		}
		if on.noun == "" {
			on.unsure = true // nothing is tried, which was said above
		}
		v.readings(join(path, "effective"), control.Effective, madeBefore(on, v.allSteps()))
		if v.r.has(instead) && !v.r.has(with) && control.Expect != "symptom" {
			v.atLeastOne(join(path, "proof"), len(control.Proof), "what is done in place of the fault has to be there: give at least one reading")
		}
		v.readings(join(path, "proof"), control.Proof, on)
		v.proves(join(path, "proof"), control.Proof)
	}
}

func (v *validator) variantIndex(id string) int {
	return slices.IndexFunc(v.s.Variants, func(one scenario.Variant) bool { return one.ID == id })
}
