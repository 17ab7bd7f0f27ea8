package judge

import "math"

// Wilson returns the 95 % score interval of a rate of hits in trials: E. B. Wilson, "Probable inference, the law of succession,
// and statistical inference", JASA 22 (1927) 209-212. Unlike the textbook's interval it is right near 0 and 1, where rates of
// reproduction are.
func Wilson(hits, trials int) (low, high float64) {
	if trials == 0 {
		return 0, 1
	}
	const z = 1.959963984540054
	n, p := float64(trials), float64(hits)/float64(trials)
	middle := (p + z*z/(2*n)) / (1 + z*z/n)
	half := z / (1 + z*z/n) * math.Sqrt(p*(1-p)/n+z*z/(4*n*n))
	low, high = max(0, middle-half), min(1, middle+half)
	// At the ends the formula gives exactly 0 and 1; its rounding errors do not.
	if hits == 0 {
		low = 0
	}
	if hits == trials {
		high = 1
	}
	return low, high
}
