package judge

import "strings"

// severity orders outcomes: the worst wins.
var severity = map[Outcome]int{Skipped: 0, Pass: 1, Inconclusive: 2, Fail: 3}

// Worst returns the worse of two outcomes. No outcome is better than any.
func Worst(a, b Outcome) Outcome {
	if a == "" || severity[b] > severity[a] {
		return b
	}
	return a
}

// OutcomeOf is the worst outcome of the phases of a kind, or nothing if there are none.
func (v Variant) OutcomeOf(kind string) Outcome {
	worst := Outcome("")
	for _, p := range v.Phases {
		if name, _, _ := strings.Cut(p.Name, "/"); name == kind {
			worst = Worst(worst, p.Outcome)
		}
	}
	return worst
}
