package judge

import (
	"fmt"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// shows reports whether an attempt shows the symptom.
func shows(c scenario.AttemptCriterion, s history.Sample) bool {
	return (c.Failed == nil || *c.Failed == (s.Error != "")) && c.Took.Contains(s.Took)
}

// count returns how many of the probe's attempts show the symptom.
func count(symptom scenario.Symptom, w detect.Window) (hits, trials int) {
	for _, s := range w.Probe(symptom.Probe) {
		trials++
		if shows(symptom.Attempt, s) {
			hits++
		}
	}
	return hits, trials
}

// sighting says how much of the failure the samples of a phase show.
func (t *trial) sighting(s *stage) *Sighting {
	hits, trials := count(t.v.Symptom, s.window)
	seen := &Sighting{Says: Partly, Hits: hits, Trials: trials}
	switch {
	case trials == 0:
		return nil
	case hits == 0:
		seen.Says = Absent
	case t.shown(s, "").ok:
		seen.Says = Shown
	}
	return seen
}

// tally says how many attempts show the symptom: "3 of 50 attempts of lookup took 4.9s to 5.3s".
func tally(symptom scenario.Symptom, hits, trials int) string {
	return fmt.Sprintf("%d of %d attempts of %s %s", hits, trials, symptom.Probe, symptom.Attempt.String())
}

// shown is the finding that the symptom is there. Lead begins the reason where it is not.
func (t *trial) shown(s *stage, lead string) finding {
	hits, trials := count(t.v.Symptom, s.window)
	bound := t.v.Symptom.Bound()
	ok := trials > 0 && bound.Contains(float64(hits)/float64(max(trials, 1)))
	return finding{
		what: fmt.Sprintf("symptom: %s of the attempts of %s %s", bound, t.v.Symptom.Probe, t.v.Symptom.Attempt.String()),
		seen: fmt.Sprintf("%d of %d", hits, trials), ok: ok, outcome: Fail,
		reason: fmt.Sprintf("%s: %s, %s expected", lead, tally(t.v.Symptom, hits, trials), bound),
	}
}

// absent is the finding that not one attempt shows the symptom.
func (t *trial) absent(s *stage, lead string) finding {
	hits, trials := count(t.v.Symptom, s.window)
	return finding{
		what: fmt.Sprintf("symptom: no attempt of %s %s", t.v.Symptom.Probe, t.v.Symptom.Attempt.String()),
		seen: fmt.Sprintf("%d of %d", hits, trials), ok: trials > 0 && hits == 0, outcome: Fail,
		reason: fmt.Sprintf("%s: %s", lead, tally(t.v.Symptom, hits, trials)),
	}
}

// enough is the gate that the symptom's probe made its attempts: a rate over fewer says less than the scenario promises.
func (t *trial) enough(s *stage, p plan.Phase) finding {
	made := len(s.window.Probe(t.v.Symptom.Probe))
	return gate(
		fmt.Sprintf("%s: at least %d attempts", t.v.Symptom.Probe, t.attempts), fmt.Sprint(made), made >= t.attempts,
		fmt.Sprintf("only %d of %d attempts of %s were made %s", made, t.attempts, t.v.Symptom.Probe, when(p)),
	)
}
