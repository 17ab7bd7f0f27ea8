package load

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

func (v *validator) claimList() {
	v.atLeastOne("claims", len(v.s.Claims), "give at least one sentence of a document to hold against this kernel")
	for i, claim := range v.s.Claims {
		path := index("claims", i)
		v.cases(join(path, "expected"), claim.Expected)
		v.check(join(path, "check"), claim.Check)
	}
}

func (v *validator) cases(path string, cases []scenario.ClaimCase) {
	v.atLeastOne(path, len(cases), "say what is expected here: give at least one case")
	for i := range cases {
		if !v.r.has(join(index(path, i), "offers")) && i < len(cases)-1 && !v.r.blocked(index(path, i)) {
			v.r.addAt(index(path, i), "without offers this case always applies: the cases after it are never looked at")
		}
	}
}

func (v *validator) check(path string, check scenario.ClaimCheck) {
	parts := false
	for _, part := range []string{"symptom", "detector", "readings", "probes"} {
		parts = parts || v.r.has(join(path, part))
	}
	if !parts {
		v.r.addAt(path, "nothing is checked: give at least one of symptom, detector, readings, probes")
	}
	for _, part := range []string{"symptom", "detector"} {
		if at := join(path, part); check.Phase == "baseline" && v.r.has(at) {
			v.r.addAt(at, "says nothing about the baseline: the run is inconclusive if it is not quiet")
		}
	}
	if on, ok := v.lookedAt(path, scenario.Subject{Variant: check.Variant, Phase: check.Phase, Detector: check.Detector}); ok {
		v.readings(join(path, "readings"), check.Readings, on)
	}
}

// lookedAt checks a variant, a phase of it and a detector, and returns the steps that are on then. It is false if there is no such
// variant.
func (v *validator) lookedAt(path string, what scenario.Subject) (on names, ok bool) {
	if at := join(path, "variant"); v.r.blocked(at) || !v.ref(at, what.Variant, v.variants) {
		return names{}, false
	}
	if at := join(path, "detector"); v.r.has(at) && v.ref(at, what.Detector, v.detectors) {
		i := slices.IndexFunc(v.s.Detection, func(one scenario.Detector) bool { return one.ID == what.Detector })
		v.appliesTo(at, "detector", what.Detector, v.s.Detection[i].Variants, what.Variant)
	}
	return v.phase(join(path, "phase"), what), true
}

// phase checks a phase of a variant and returns the steps that are on in it.
func (v *validator) phase(at string, check scenario.Subject) names {
	unknown := names{unsure: true}
	if v.r.blocked(at) {
		return unknown
	}
	phase, err := scenario.ParsePhase(check.Phase)
	if err != nil {
		v.r.addAt(at, "%s", err)
		return unknown
	}
	fault := v.faultSteps([]int{v.variantIndex(check.Variant)})
	switch phase.Kind {
	case "fault":
		return fault
	case "remedy", "relapse":
		if !v.ref(at, phase.ID, v.remedies) {
			return unknown
		}
		i := slices.IndexFunc(v.s.Remedies, func(one scenario.Remedy) bool { return one.ID == phase.ID })
		v.appliesTo(at, "remedy", phase.ID, v.s.Remedies[i].Variants, check.Variant)
		if phase.Kind == "remedy" {
			return beside(fault, v.unsureOf(v.s.Remedies[i].Changes), v.s.Remedies[i].Changes)
		}
		return fault
	case "control":
		if !v.ref(at, phase.ID, v.controls) {
			return unknown
		}
		control := v.s.Controls[slices.IndexFunc(v.s.Controls, func(one scenario.Control) bool { return one.ID == phase.ID })]
		v.appliesTo(at, "control", phase.ID, control.Variants, check.Variant)
		if control.Instead != nil {
			fault.list = nil
		}
		steps := slices.Concat(control.With, control.Instead)
		return beside(fault, v.unsureOf(steps), steps)
	}
	return names{noun: fault.noun, plural: fault.plural}
}

func (v *validator) appliesTo(path, noun, id string, limitedTo []string, variant string) {
	if !scenario.Applies(limitedTo, variant) {
		v.r.addAt(path, "%s %q does not apply to variant %q", noun, id, variant)
	}
}

// unsureOf is unsure if one of the steps could not be read.
func (v *validator) unsureOf(steps []scenario.Step) names {
	return names{unsure: slices.ContainsFunc(steps, func(s scenario.Step) bool { return s.ID == "" })}
}
