package reports

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// variant is all that is known of one way to bring the failure about.
type variant struct {
	Name string
	// Spec is from the scenario; Known is false where the scenario does not have it.
	Spec  scenario.Variant
	Known bool
	// Verdict is empty if the run was not judged.
	Verdict judge.Variant
	Judged  bool
	// Drawn is where the picture's sightings are from.
	Drawn judge.Variant
	Lanes []lane
	// Skipped is why it was not run.
	Skipped string
}

// variants lists them in the scenario's order; a variant that only the history or the verdict knows comes last.
func (d Data) variants() []variant {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, v := range d.scenario().Variants {
		add(v.ID)
	}
	for _, v := range d.Verdict.Variants {
		add(v.Name)
	}
	lanes, drawn := d.lanes(), d.drawn()
	for _, l := range lanes {
		add(variantOf(l.Name))
	}
	variants := make([]variant, len(names))
	for i, name := range names {
		v := variant{Name: name, Skipped: d.Run.Skipped[name]}
		for _, s := range d.scenario().Variants {
			if s.ID == name {
				v.Spec, v.Known = s, true
			}
		}
		for _, j := range d.Verdict.Variants {
			if j.Name == name {
				v.Verdict, v.Judged = j, true
			}
		}
		for _, j := range drawn {
			if j.Name == name {
				v.Drawn = j
			}
		}
		for _, l := range lanes {
			if variantOf(l.Name) == name {
				v.Lanes = append(v.Lanes, l)
			}
		}
		slices.SortStableFunc(v.Lanes, func(a, b lane) int { return d.rank(a) - d.rank(b) })
		if probes := probesOf(v); v.Spec.Symptom.Probe == "" && len(probes) > 0 {
			v.Spec.Symptom.Probe = probes[0]
		}
		variants[i] = v
	}
	return variants
}

// drawn are the variants with what the picture shows: those of the verdict. Without a verdict, or with one of an older version
// that does not hold it, the record is judged for the picture alone.
func (d Data) drawn() []judge.Variant {
	older := func(v judge.Variant) bool { return len(v.Phases) > 0 && len(v.Kinds) == 0 }
	if d.Scenario == nil || !d.Crashed && !slices.ContainsFunc(d.Verdict.Variants, older) {
		return d.Verdict.Variants
	}
	return judge.Judge(d.Scenario, d.Run, d.Events).Variants
}

// sighting is what a lane's attempts in a phase show, or nil.
func (v variant) sighting(lane, phase string) *judge.Sighting {
	for _, p := range v.Drawn.Phases {
		for _, l := range p.Lanes {
			if p.Name == phase && l.Lane == lane {
				return l.Symptom
			}
		}
	}
	return nil
}

// rank puts the fault alone first, then remedies and controls as the scenario has them: labs start in any order.
func (d Data) rank(l lane) int {
	s, branch := d.scenario(), branchOf(l.Name)
	if i := slices.IndexFunc(s.Remedies, func(r scenario.Remedy) bool { return r.ID == branch }); i >= 0 {
		return 1 + i
	}
	if i := slices.IndexFunc(s.Controls, func(c scenario.Control) bool { return c.ID == branch }); i >= 0 {
		return 1 + len(s.Remedies) + i
	}
	return 0
}

// outcome of the variant: inconclusive if nobody judged it, unless it was skipped.
func (v variant) outcome() judge.Outcome {
	switch {
	case v.Judged:
		return v.Verdict.Outcome
	case v.Skipped != "":
		return judge.Skipped
	}
	return judge.Inconclusive
}

// reason says why.
func (v variant) reason() string {
	switch {
	case v.Verdict.Reason != "":
		return v.Verdict.Reason
	case v.Skipped != "":
		return v.Skipped
	case !v.Judged && len(v.Lanes) == 0:
		return "Nothing was recorded."
	case !v.Judged:
		return "The run ended before this was judged."
	}
	return ""
}

// without says what the variant lacks, and why, as its file does.
func (v variant) without() []string {
	if v.Skipped != "" || v.Verdict.Outcome == judge.Skipped {
		return nil
	}
	var lacks []string
	if why := v.Spec.Without.Detector; why != "" {
		lacks = append(lacks, "No detector must fire: "+why)
	}
	if why := v.Spec.Without.Remedy; why != "" {
		lacks = append(lacks, "There is no remedy: "+why)
	}
	if why := v.Spec.Without.Control; why != "" {
		lacks = append(lacks, "There is no control: "+why)
	}
	return lacks
}

// phase finds a phase of the verdict.
func (v variant) phase(name string) (judge.Phase, bool) {
	for _, p := range v.Verdict.Phases {
		if p.Name == name {
			return p, true
		}
	}
	return judge.Phase{}, false
}

// applies reports whether a detector, remedy or control is meant for the variant.
func applies(variants []string, name string) bool {
	return len(variants) == 0 || slices.Contains(variants, name)
}

// headline is the variant whose rate stands for the run: the one with the most attempts that showed the symptom.
func headline(variants []variant) *variant {
	var best *variant
	for i, v := range variants {
		r := v.Verdict.Reproduction
		if r.Trials == 0 {
			continue
		}
		if best == nil || r.Hits > best.Verdict.Reproduction.Hits {
			best = &variants[i]
		}
	}
	return best
}

// phaseTitle names a phase with the remedy's or control's title.
func (d Data) phaseTitle(phase string) string {
	if r, ok := d.remedy(branchOf(phase)); ok {
		switch kind(phase) {
		case "remedy":
			return "with " + r.Title
		case "relapse":
			return "without " + r.Title
		}
	}
	if c, ok := d.control(branchOf(phase)); ok && kind(phase) == "control" {
		return c.Title
	}
	return ""
}

func (d Data) remedy(id string) (scenario.Remedy, bool) {
	for _, r := range d.scenario().Remedies {
		if r.ID == id {
			return r, true
		}
	}
	return scenario.Remedy{}, false
}

func (d Data) control(id string) (scenario.Control, bool) {
	for _, c := range d.scenario().Controls {
		if c.ID == id {
			return c, true
		}
	}
	return scenario.Control{}, false
}
