package judge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// passReason is the reason of a variant that passed.
func (t *trial) passReason(hits, trials int, fault *stage) string {
	if t.repaired {
		return fmt.Sprintf("repaired here (%s): the fault was in effect and %s", t.v.RepairedBy, tally(t.v.Symptom, hits, trials))
	}
	probe := t.v.Symptom.Probe
	clauses := []string{fmt.Sprintf("%d of %d attempts of %s %s under the fault", hits, trials, probe, t.happened(fault))}
	if hits == trials {
		clauses[0] = fmt.Sprintf("every attempt of %s %s under the fault (%d of %d)", probe, t.happened(fault), hits, trials)
	}
	if missed := len(fault.window.Missed); missed > 0 {
		clauses[0] += fmt.Sprintf(" that the fault met; it missed %d more", missed)
	}
	remedies, controls := 0, 0
	for _, b := range t.lanes {
		if b.Remedy != nil {
			remedies++
		}
		if b.Control != nil {
			controls++
		}
	}
	switch remedies {
	case 0:
	case 1:
		clauses = append(clauses, "the remedy cured it and withdrawing it brought it back")
	case 2:
		clauses = append(clauses, "both remedies cured it and withdrawing each brought it back")
	default:
		clauses = append(clauses, fmt.Sprintf("all %d remedies cured it and withdrawing each brought it back", remedies))
	}
	switch controls {
	case 0:
	case 1:
		clauses = append(clauses, "the control behaved as expected")
	case 2:
		clauses = append(clauses, "both controls behaved as expected")
	default:
		clauses = append(clauses, fmt.Sprintf("all %d controls behaved as expected", controls))
	}
	return strings.Join(clauses, ", ")
}

// happened says what the attempts that show the symptom did: "took 5.01 s", at the median.
func (t *trial) happened(fault *stage) string {
	var took []float64
	for _, s := range fault.window.Probe(t.v.Symptom.Probe) {
		if Shows(t.v.Symptom.Attempt, s) {
			took = append(took, s.Took)
		}
	}
	slices.Sort(took)
	criterion, median := t.v.Symptom.Attempt, units.Seconds(detect.Quantile(took, 0.5))
	switch {
	case criterion.Failed != nil && *criterion.Failed && criterion.Took != nil:
		return "failed after " + median
	case criterion.Failed != nil && *criterion.Failed:
		return "failed"
	}
	return "took " + median
}

// summary is the reason of a whole run: that of its variants, each with its name if there are several.
func summary(s *scenario.Scenario, variants []Variant, outcome Outcome) string {
	var words []string
	for _, v := range variants {
		text := v.Reason
		if v.Outcome == Skipped {
			text = "skipped: " + text
			if outcome == Skipped {
				text = v.Reason
			}
		}
		if len(s.Variants) > 1 {
			text = v.Name + ": " + text
		}
		// A skipped variant is not why the run failed.
		if v.Outcome == outcome || outcome == Pass {
			words = append(words, text)
		}
		if outcome != Pass && outcome != Skipped && len(words) > 0 {
			break
		}
	}
	return strings.Join(words, "; ")
}
