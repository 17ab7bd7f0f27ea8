package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// observation is what one probe's attempts in a phase looked like, before anybody judges.
type observation struct {
	Count, Hits, Failed int
	P50                 float64
	State               plot.State
	// Word is ok, slow, fails or shows it.
	Word string
}

// hit reports whether an attempt shows the symptom.
func hit(c scenario.AttemptCriterion, s history.Sample) bool {
	if c.Failed == nil && c.Took == nil {
		return false
	}
	return (c.Failed == nil || *c.Failed == (s.Error != "")) && c.Took.Contains(s.Took)
}

// observe looks at the attempts of the symptom's probe.
func observe(samples []history.Sample, symptom scenario.Symptom) observation {
	o := observation{State: plot.Unknown, Word: "not sampled"}
	var took []float64
	for _, s := range samples {
		if s.Probe != symptom.Probe {
			continue
		}
		took = append(took, s.Took)
		if s.Error != "" {
			o.Failed++
		}
		if hit(symptom.Attempt, s) {
			o.Hits++
		}
	}
	if o.Count = len(took); o.Count == 0 {
		return o
	}
	slices.Sort(took)
	// The nearest rank, as in the verdict: a time that was really seen.
	o.P50 = took[(o.Count-1)/2]
	if o.State, o.Word = plot.Fine, "ok"; symptom.Attempt == (scenario.AttemptCriterion{}) {
		// Nobody knows any more what a bad attempt looks like.
		o.State, o.Word = plot.Unknown, "median"
	}
	if 2*o.Hits >= o.Count || 2*o.Failed >= o.Count {
		o.State, o.Word = plot.Symptom, badWord(symptom.Attempt)
		if 2*o.Failed >= o.Count {
			o.Word = "fails"
		}
	}
	return o
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

// label says it for a cell of the picture, long and short.
func (o observation) label() (long, short string) {
	switch {
	case o.Count == 0:
		return "", ""
	case o.State == plot.Symptom:
		n := max(o.Hits, o.Failed)
		return fmt.Sprintf("%d of %d, p50 %s", n, o.Count, timing(o.P50)), fmt.Sprintf("%d of %d", n, o.Count)
	case o.Hits > 0 || o.Failed > 0:
		n := max(o.Hits, o.Failed)
		return fmt.Sprintf("%d of %d bad, p50 %s", n, o.Count, timing(o.P50)), fmt.Sprintf("%d of %d", n, o.Count)
	}
	return "p50 " + timing(o.P50), timing(o.P50)
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

// judged is the worst outcome of the phases of a kind, or nothing where none was judged.
func judged(v judge.Variant, wanted string) judge.Outcome {
	rank := []judge.Outcome{judge.Skipped, judge.Pass, judge.Inconclusive, judge.Fail}
	worst := -1
	for _, p := range v.Phases {
		if kind(p.Name) == wanted {
			worst = max(worst, slices.Index(rank, p.Outcome))
		}
	}
	if worst < 0 {
		return ""
	}
	return rank[worst]
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
