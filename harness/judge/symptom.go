package judge

import (
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Shows reports whether an attempt shows the symptom. A criterion that is not known shows nothing.
func Shows(c scenario.AttemptCriterion, s history.Sample) bool {
	if c.Failed == nil && c.Took == nil {
		return false
	}
	return (c.Failed == nil || *c.Failed == (s.Error != "")) && c.Took.Contains(s.Took)
}

// count returns how many of the probe's trials show the symptom.
func count(symptom scenario.Symptom, w detect.Window) (hits, trials int) {
	return countIn(symptom, w.Probe(symptom.Probe))
}

func countIn(symptom scenario.Symptom, samples []history.Sample) (hits, all int) {
	for _, s := range samples {
		if Shows(symptom.Attempt, s) {
			hits++
		}
	}
	return hits, len(samples)
}

// sighting is what the attempts of one stage show, or nil without any. States are those of its lanes; none if it is one lane's own.
func (t *trial) sighting(s *stage, states ...string) *Sighting {
	hits, trials := count(t.v.Symptom, s.window)
	missed := len(s.window.Missed)
	if trials+missed == 0 {
		return nil
	}
	sum := detect.Summarize(s.window.Probe(t.v.Symptom.Probe))
	seen := &Sighting{Says: Partly, State: Partly, Hits: hits, Trials: trials, Failed: sum.Failed, Missed: missed, P50: sum.P50}
	switch {
	case t.absent(s, "").ok:
		seen.Says = Absent
	case t.shown(s, "").ok:
		seen.Says = Shown
	}
	if len(slices.Compact(slices.Sorted(slices.Values(states)))) == 1 {
		seen.State = states[0]
	}
	return seen
}

// laneSighting is what the attempts of one lane show. Its state is what the verdict goes by: the scenario's share of attempts,
// and its bounds on a healthy probe.
func (t *trial) laneSighting(p plan.Phase, b plan.Lane, s *stage) *Sighting {
	seen := t.sighting(s)
	switch {
	case seen == nil:
	case seen.Says == Shown:
		seen.State = Bad
	case t.rare(s, p.Leaves, "").ok:
		seen.State = Good
		if !t.well(p, b, s) {
			seen.State = Bad
		}
	}
	return seen
}

// well reports whether the symptom's probe keeps the bounds of health.
func (t *trial) well(p plan.Phase, b plan.Lane, s *stage) bool {
	for _, exp := range t.s.HealthyOf(t.v.ID, t.health(p, b)) {
		for _, c := range detect.ProbeCheck(exp, s.window) {
			if exp.Probe == t.v.Symptom.Probe && !c.OK {
				return false
			}
		}
	}
	return true
}

// health are the bounds of healthy probes in a phase: a remedy may have its own.
func (t *trial) health(p plan.Phase, b plan.Lane) []scenario.ProbeExpectation {
	if p.Kind == "remedy" && len(b.Remedy.Healthy) > 0 {
		return b.Remedy.Healthy
	}
	return t.s.Healthy
}

// tally says how many attempts show the symptom: "3 of 50 attempts of lookup took 4.9s to 5.3s".
func tally(symptom scenario.Symptom, hits, trials int) string {
	return fmt.Sprintf("%d of %d attempts of %s %s", hits, trials, symptom.Probe, symptom.Attempt.String())
}

// shown is the finding that the symptom is there. Lead begins the reason if it is not.
func (t *trial) shown(s *stage, lead string) finding {
	hits, trials := count(t.v.Symptom, s.window)
	bound := t.v.Symptom.Share
	ok := trials > 0 && bound.Contains(float64(hits)/float64(max(trials, 1)))
	return finding{
		what: fmt.Sprintf("symptom: %s of the attempts of %s %s", bound, t.v.Symptom.Probe, t.v.Symptom.Attempt.String()),
		seen: fmt.Sprintf("%d of %d", hits, trials), ok: ok, outcome: Fail,
		reason: fmt.Sprintf("%s: %s, %s expected", lead, tally(t.v.Symptom, hits, trials), bound),
	}
}

// absent is the finding that not one attempt shows the symptom, whether or not the fault met it.
func (t *trial) absent(s *stage, lead string) finding { return t.rare(s, 0, lead) }

// rare is the finding that at most a share of the attempts shows the symptom.
func (t *trial) rare(s *stage, most units.Percent, lead string) finding {
	hits, attempts := count(t.v.Symptom, s.window.All())
	share := "no attempt"
	if most > 0 {
		share = fmt.Sprintf("at most %s of the attempts", most)
	}
	return finding{
		what: fmt.Sprintf("symptom: %s of %s %s", share, t.v.Symptom.Probe, t.v.Symptom.Attempt.String()),
		seen: fmt.Sprintf("%d of %d", hits, attempts), ok: attempts > 0 && float64(hits) <= float64(most)*float64(attempts), outcome: Fail,
		reason: fmt.Sprintf("%s: %s", lead, tally(t.v.Symptom, hits, attempts)),
	}
}

// enough is the gate that there were enough trials: a rate over fewer says less than the scenario promises.
func (t *trial) enough(s *stage, p plan.Phase) finding {
	trials, missed := len(s.window.Probe(t.v.Symptom.Probe)), len(s.window.Missed)
	f := gate(
		fmt.Sprintf("%s: at least %d attempts", t.v.Symptom.Probe, t.attempts), fmt.Sprint(trials), trials >= t.attempts,
		fmt.Sprintf("only %d of %d attempts of %s were made %s", trials, t.attempts, t.v.Symptom.Probe, when(p)),
	)
	if missed > 0 {
		f.what = fmt.Sprintf("%s: the fault meets at least %d attempts", t.v.Symptom.Probe, t.attempts)
		f.seen = fmt.Sprintf("it met %d of %d", trials, trials+missed)
		f.reason = fmt.Sprintf("the fault met only %d of the %d attempts of %s %s: %d needed", trials, trials+missed, t.v.Symptom.Probe, when(p), t.attempts)
	}
	if missed > 0 && trials == 0 {
		f.reason = fmt.Sprintf("the fault was never in effect: it met none of the %d attempts of %s %s", missed, t.v.Symptom.Probe, when(p))
	}
	return f
}
