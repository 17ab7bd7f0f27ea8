package judge

// badness orders outcomes: the worst wins.
var badness = map[Outcome]int{Skipped: 0, Pass: 1, Inconclusive: 2, Fail: 3}

// Worst returns the worse of two outcomes.
func Worst(a, b Outcome) Outcome {
	if badness[b] > badness[a] {
		return b
	}
	return a
}
