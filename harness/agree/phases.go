package agree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// variant compares the phases of a variant.
func (c *comparison) variant(id string) {
	row := Row{Subject: scenario.Subject{Variant: id}}
	var verdicts [2]judge.Variant
	var skipped, missing reasons
	for i, s := range c.sides {
		at := slices.IndexFunc(s.Verdict.Variants, func(v judge.Variant) bool { return v.Name == id })
		if at < 0 {
			missing[i] = cmp.Or(s.Verdict.Reason, "it is not in the verdict")
			continue
		}
		verdicts[i] = s.Verdict.Variants[at]
		if verdicts[i].Outcome == judge.Skipped {
			skipped[i] = cmp.Or(verdicts[i].Reason, "it was skipped")
		}
	}
	if c.unanswered(&row, skipped, missing) {
		c.add(row)
		return
	}
	for _, name := range phasesOf(c.explains, id, c.repaired(0, id) && c.repaired(1, id)) {
		c.phase(id, name, verdicts)
	}
}

// repaired reports whether a side's cluster is not expected to show the failure.
func (c *comparison) repaired(i int, variant string) bool {
	return plan.Repaired(variantOf(c.sides[i].Scenario, variant), func(need string) bool { return c.sides[i].Run.Offers[need].OK })
}

// phase compares what both say of a phase: the symptom, then each detector.
func (c *comparison) phase(variant, name string, verdicts [2]judge.Variant) {
	row := Row{Subject: scenario.Subject{Variant: variant, Phase: name}, Result: Same}
	var phases [2]judge.Phase
	var absent, open reasons
	for i, v := range verdicts {
		at := slices.IndexFunc(v.Phases, func(p judge.Phase) bool { return p.Name == name })
		if at < 0 {
			absent[i] = c.notRun(i, variant)
			continue
		}
		phases[i] = v.Phases[at]
		row.Answers[i] = answerOf(phases[i])
		if phases[i].Outcome == judge.Inconclusive {
			open[i] = unmet(phases[i])
		}
	}
	if c.unanswered(&row, absent, open) {
		c.add(row)
		return
	}
	detectors := c.detectors(row.Subject, phases)
	c.symptom(&row, phases, detectors)
	c.Rows = append(append(c.Rows, row), detectors...)
}

func (c *comparison) notRun(i int, variant string) string {
	if c.repaired(i, variant) {
		return fmt.Sprintf("%s repairs the failure there, so that there is nothing to cure", variantOf(c.sides[i].Scenario, variant).RepairedBy)
	}
	return "the phase was not run"
}

func answerOf(p judge.Phase) Answer {
	a := Answer{Outcome: p.Outcome}
	if p.Symptom != nil {
		a.Says, a.Seen = p.Symptom.Says, fmt.Sprintf("%d/%d", p.Symptom.Hits, p.Symptom.Trials)
	}
	return a
}

// unmet is the first thing that was not as expected.
func unmet(p judge.Phase) string {
	for _, check := range p.Checks {
		if !check.OK {
			return check.What + ": " + check.Seen
		}
	}
	return "the phase is " + string(p.Outcome)
}

// symptom compares how much of the failure was seen, and the outcomes if nothing else tells the two apart.
func (c *comparison) symptom(row *Row, phases [2]judge.Phase, detectors []Row) {
	pass := phases[0].Outcome == judge.Pass && phases[1].Outcome == judge.Pass
	switch {
	case differ(phases[0].Symptom, phases[1].Symptom):
		row.Result = Unexplained
		if why := c.repair(row.Variant); pass && why != "" {
			row.Result, row.Why = Explained, why
		}
	case phases[0].Outcome != phases[1].Outcome && !slices.ContainsFunc(detectors, func(r Row) bool { return r.Result == Unexplained }):
		var wrong reasons
		for i, p := range phases {
			if p.Outcome != judge.Pass {
				wrong[i] = unmet(p)
			}
		}
		row.Result, row.Why = Unexplained, c.say(wrong)
	}
}

// differ reports whether two sightings are not the same failure. Whether it is only a part of the attempts may be chance.
func differ(a, b *judge.Sighting) bool {
	if a == nil || b == nil || a.Says == b.Says {
		return false
	}
	if a.Says != judge.Partly && b.Says != judge.Partly {
		return true
	}
	lowA, highA := judge.Wilson(a.Hits, a.Trials)
	lowB, highB := judge.Wilson(b.Hits, b.Trials)
	return lowA > highB || lowB > highA
}

// repair says why the failure shows on one side only, if the scenario expects that.
func (c *comparison) repair(variant string) string {
	for i := range c.sides {
		if c.repaired(i, variant) && !c.repaired(1-i, variant) {
			return fmt.Sprintf("%s, which only %s offers, repairs the failure", variantOf(c.sides[i].Scenario, variant).RepairedBy, c.Runs[i].Name)
		}
	}
	return ""
}

// What detectors say.
const (
	fired = "fired"
	quiet = "quiet"
)

// says is what a detector says about a phase; nothing if it is blind.
func says(d judge.Detected) string {
	switch {
	case d.Fired:
		return fired
	case d.Blind:
		return ""
	}
	return quiet
}

// detectors compares what the detectors say of a phase.
func (c *comparison) detectors(in scenario.Subject, phases [2]judge.Phase) []Row {
	var rows []Row
	for _, id := range c.asked(in.Variant) {
		row := Row{Subject: in, Result: Same}
		row.Detector = id
		var silent, blind, wavers reasons
		expected := true // both are as the scenario expects, which expects different things
		for i, p := range phases {
			got, there := p.Detectors[id]
			if !there {
				silent[i] = c.notAsked(i, in.Variant, id)
				continue
			}
			row.Answers[i] = Answer{Says: says(got), Seen: got.Text}
			if got.Blind {
				blind[i] = strings.TrimSuffix("it had nothing to see: "+got.Text, ": ")
			}
			if got.Wavers && got.Expected == nil {
				wavers[i] = "it would have fired at some of its readings and not at others: " + got.Text
			}
			expected = expected && got.Expected != nil && *got.Expected == got.Fired
		}
		why := c.repair(in.Variant)
		switch {
		case c.unanswered(&row, silent, blind):
		case row.Answers[0].Says == row.Answers[1].Says:
		case wavers.any(): // which reading was the last is chance
			row.Result, row.Why = Skipped, c.say(wavers)
		case expected && why != "":
			row.Result, row.Why = Explained, why
		default:
			row.Result = Unexplained
		}
		rows = append(rows, row)
	}
	return rows
}

// asked lists the detectors of a variant, on either side.
func (c *comparison) asked(variant string) []string {
	var ids []string
	for _, s := range c.sides {
		for _, d := range s.Scenario.Detection {
			if scenario.Applies(d.Variants, variant) && !slices.Contains(ids, d.ID) {
				ids = append(ids, d.ID)
			}
		}
	}
	return ids
}

// notAsked says why a detector has nothing to say.
func (c *comparison) notAsked(i int, variant, id string) string {
	side := c.sides[i]
	for _, d := range side.Scenario.Detection {
		if d.ID != id || !scenario.Applies(d.Variants, variant) {
			continue
		}
		for _, need := range d.Needs {
			if offer := side.Run.Offers[need]; !offer.OK {
				return strings.TrimSuffix(fmt.Sprintf("it needs %s, which is not offered: %s", need, offer.Why), ": ")
			}
		}
		return "it was not asked"
	}
	return "it is not in this version of the scenario"
}
