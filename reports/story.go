package reports

import (
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// state is how a sighting is drawn.
func state(s *judge.Sighting) plot.State {
	if s == nil {
		return plot.Unknown
	}
	return map[string]plot.State{judge.Good: plot.Fine, judge.Bad: plot.Symptom, judge.Partly: plot.Partly}[s.State]
}

// badWord names the symptom in one word.
func badWord(c scenario.AttemptCriterion) string {
	switch {
	case c.Failed != nil && *c.Failed:
		return "fails"
	case c.Took != nil && c.Took.Min != nil:
		return "slow"
	}
	return "symptom"
}

// word says in one word what the attempts did.
func word(s judge.Sighting, c scenario.AttemptCriterion) string {
	switch {
	case s.State == judge.Good:
		return "ok"
	case s.State == judge.Partly:
		return "partly"
	case s.Says == judge.Shown:
		return badWord(c)
	case s.Failed > 0:
		return "fails"
	}
	return "unhealthy"
}

// label says it for a cell of the picture, long and short.
func label(s judge.Sighting) (long, short string) {
	median := units.Seconds(s.P50)
	n := max(s.Hits, s.Failed)
	if n == 0 {
		return "p50 " + median, median
	}
	short = fmt.Sprintf("%d of %d", n, s.Trials)
	if s.State == judge.Bad {
		return short + ", p50 " + median, short
	}
	return short + " bad, p50 " + median, short
}

// kind is the kind of a phase: remedy for remedy/use-vc.
func kind(phase string) string {
	k, _, _ := strings.Cut(phase, "/")
	return k
}

// tone is how a kind of phase is shaded.
func tone(kind string) plot.Tone {
	switch kind {
	case "fault", "relapse", "control":
		return plot.Faulty
	case "remedy":
		return plot.Cured
	}
	return plot.Calm
}

// inWords says an outcome of a phase beside what was seen in it.
func inWords(o judge.Outcome) (mark, words string) {
	switch o {
	case judge.Pass:
		return "✓", "as expected"
	case judge.Fail:
		return "✗", "not as expected"
	case judge.Skipped:
		return "–", "skipped"
	case judge.Inconclusive:
		return "?", "inconclusive"
	}
	return "?", "not judged"
}
