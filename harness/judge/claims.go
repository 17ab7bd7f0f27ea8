package judge

import (
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// judgeClaim holds one sentence of a document against what was seen.
func judgeClaim(c scenario.Claim, run rundir.Run, variants map[string]judged) Claim {
	claim := Claim{ID: c.ID, Says: c.Says, Source: c.Source, Expected: expected(c, run), Result: Untested}
	variant, ran := variants[c.Check.Variant]
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
	case phase.Outcome == Inconclusive:
		claim.Seen = "phase " + c.Check.Phase + " is inconclusive: " + phase.reason
	default:
		claim.Result, claim.Seen = test(c.Check, variant, phase)
	}
	return claim
}

// expected is the first case that applies here; where none does, nothing is expected.
func expected(c scenario.Claim, run rundir.Run) string {
	for _, one := range c.Expected {
		if one.Offers == "" || run.Offers[one.Offers].OK {
			return one.Result
		}
	}
	return Untested
}

// test looks at every part of the check, also past the first that is not so, because the numbers are what people want to see.
func test(c scenario.ClaimCheck, v judged, p judgedPhase) (verdict, seen string) {
	holds, blind := true, false
	var words []string
	say := func(ok bool, format string, a ...any) {
		holds = holds && ok
		words = append(words, fmt.Sprintf(format, a...))
	}
	if c.Symptom != nil {
		hits, trials := count(v.t.v.Symptom, p.pooled.window)
		blind = blind || trials == 0
		say(symptomAs(*c.Symptom, v.t, p), "%s", tally(v.t.v.Symptom, hits, trials))
	}
	if c.Detector != "" {
		got, there := p.Detectors[c.Detector]
		blind = blind || !there || got.Blind
		if !there {
			got.Text = "it is not for variant " + v.Name
		}
		did := map[bool]string{true: "fired", false: "stayed silent"}[p.fired[c.Detector]]
		say(p.fired[c.Detector], "detector %s %s: %s", c.Detector, did, got.Text)
	}
	for _, exp := range c.Readings {
		check := detect.Reading(exp, p.pooled.window)
		blind = blind || check.Blind
		say(check.OK, "%s %s", exp.Key, check.Seen)
	}
	for _, exp := range c.Probes {
		for _, check := range detect.ProbeCheck(exp, p.pooled.window) {
			blind = blind || check.Blind
			say(check.OK, "%s %s", exp.Probe, check.Fact)
		}
	}
	seen = strings.Join(words, "; ")
	switch {
	case len(words) == 0:
		return Untested, "the claim has nothing to check"
	case blind:
		return Untested, seen
	case holds:
		return Holds, seen
	}
	return Refuted, seen
}

// symptomAs asks for the symptom as the phases do: there in the share of attempts that the scenario states and with what else
// belongs to it, or gone from every single attempt. What lies between is neither.
func symptomAs(want bool, t *trial, p judgedPhase) bool {
	if !want {
		return t.absent(p.pooled, "").ok
	}
	return conclude(t.sick(p.plan, p.pooled, "")).outcome == Pass
}

// breach is the reason why a claim fails the run, or empty.
func breach(c Claim) string {
	if c.Result == Untested || c.Expected == Untested || c.Result == c.Expected {
		return ""
	}
	words := map[string]string{Holds: "hold", Refuted: "be refuted"}
	did := map[string]string{Holds: "holds", Refuted: "is refuted"}
	return fmt.Sprintf("claim %s was expected to %s here and %s: %s", c.ID, words[c.Expected], did[c.Result], c.Seen)
}
