package judge

import (
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// judgeClaim compares one sentence of a document with what was seen.
func judgeClaim(c scenario.Claim, run rundir.Run, variants map[string]judged) Claim {
	claim := Claim{ID: c.ID, Says: c.Says, Source: c.Source, Expected: expected(c, run), Result: Untested}
	variant, ran := variants[c.Check.Variant]
	claim.Excused = true
	if !ran {
		claim.Seen = "variant " + c.Check.Variant + " was not run"
		if why := run.Skipped[c.Check.Variant]; why != "" {
			claim.Seen += ": " + why
		}
		return claim
	}
	phase, there := variant.phases[c.Check.Phase]
	switch {
	case !there:
		claim.Seen = "phase " + c.Check.Phase + " was not run"
		claim.Excused = variant.t.repaired
	case phase.Outcome == Inconclusive:
		claim.Seen = "phase " + c.Check.Phase + " is inconclusive: " + phase.reason
	default:
		claim.Result, claim.Seen, claim.Excused = test(c.Check, variant, phase)
	}
	return claim
}

// expected is the first case that applies here; if none does, nothing is expected.
func expected(c scenario.Claim, run rundir.Run) string {
	for _, one := range c.Expected {
		if one.Offers == "" || run.Offers[one.Offers].OK {
			return one.Result
		}
	}
	return Untested
}

// test looks at every part of the check, also after one that does not hold: people want to see the numbers.
// Excused says whether the cluster at hand is why it could not be tested: it has no such detector or number.
func test(c scenario.ClaimCheck, v judged, p judgedPhase) (verdict, seen string, excused bool) {
	holds, blind, lacks := true, false, true
	unseen := func(no, lacking bool) {
		blind, lacks = blind || no, lacks && (!no || lacking)
	}
	var words []string
	say := func(ok bool, format string, a ...any) {
		holds = holds && ok
		words = append(words, fmt.Sprintf(format, a...))
	}
	if c.Symptom != nil {
		hits, trials := count(v.t.v.Symptom, p.pooled.window)
		unseen(trials == 0, false)
		say(symptomAs(*c.Symptom, v.t, p), "%s", tally(v.t.v.Symptom, hits, trials))
	}
	if c.Detector != "" {
		got, there := p.Detectors[c.Detector]
		unseen(!there || got.Blind, !there)
		if !there {
			got.Text = "it is not for variant " + v.Name
		}
		did := map[bool]string{true: "fired", false: "stayed silent"}[p.fired[c.Detector]]
		say(p.fired[c.Detector], "detector %s %s: %s", c.Detector, did, got.Text)
	}
	for _, exp := range c.Readings {
		check := detect.Reading(exp, p.pooled.window)
		unseen(check.Blind, check.Lacks)
		say(check.OK, "%s %s", exp.Key, check.Seen)
	}
	for _, exp := range c.Probes {
		for _, check := range detect.ProbeCheck(exp, p.pooled.window) {
			unseen(check.Blind, false)
			say(check.OK, "%s %s", exp.Probe, check.Fact)
		}
	}
	seen = strings.Join(words, "; ")
	switch {
	case len(words) == 0:
		return Untested, "the claim has nothing to check", false
	case blind:
		return Untested, seen, lacks
	case holds:
		return Holds, seen, false
	}
	return Refuted, seen, false
}

// symptomAs asks for the symptom as the phases do: in the share of attempts that the scenario states, with what else belongs to
// it, or in no attempt but those that a remedy leaves. Anything between is neither.
func symptomAs(want bool, t *trial, p judgedPhase) bool {
	if !want {
		return t.rare(p.pooled, p.plan.Leaves, "").ok
	}
	return conclude(t.sick(p.plan, p.pooled, "")).outcome == Pass
}

// failureOf is what a claim makes of the run, and the reason; without a reason nothing. One that nothing has tested leaves the run without
// a conclusion, unless the cluster at hand is why.
func failureOf(c Claim) (outcome Outcome, reason string) {
	switch {
	case c.Result == Untested && c.Expected != Untested && !c.Excused:
		return Inconclusive, fmt.Sprintf("claim %s was not tested: %s", c.ID, c.Seen)
	case c.Result == Untested || c.Expected == Untested || c.Result == c.Expected:
		return Pass, ""
	}
	words := map[string]string{Holds: "hold", Refuted: "be refuted"}
	did := map[string]string{Holds: "holds", Refuted: "is refuted"}
	return Fail, fmt.Sprintf("claim %s was expected to %s here and %s: %s", c.ID, words[c.Expected], did[c.Result], c.Seen)
}
