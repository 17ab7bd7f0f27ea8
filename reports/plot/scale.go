package plot

import "math"

// Scale maps a number to the unit interval: 0 is the bottom or left, 1 the top or right.
type Scale interface {
	// At is where v lies; what is out of range is moved to the nearer end.
	At(v float64) float64
	// Ticks are the numbers worth a label, about n of them, lowest first.
	Ticks(n int) []float64
}

// Linear is a scale on which equal differences are equally far apart.
type Linear struct{ Low, High float64 }

// At implements Scale.
func (s Linear) At(v float64) float64 { return part(v, s.Low, s.High) }

// Ticks implements Scale.
func (s Linear) Ticks(n int) []float64 { return linearTicks(s.Low, s.High, n) }

// Log is a scale on which equal ratios are equally far apart. Low must be above zero.
type Log struct{ Low, High float64 }

// At implements Scale.
func (s Log) At(v float64) float64 {
	if v <= s.Low {
		return 0
	}
	return part(math.Log10(v), math.Log10(s.Low), math.Log10(s.High))
}

// Ticks implements Scale.
func (s Log) Ticks(n int) []float64 { return decades(s.Low, s.High, n) }

// wide is the ratio of the slowest to the fastest from which a linear scale would squeeze the fast ones into one line.
const wide = 20

// floor is the shortest time that a log scale shows; shorter ones are at the bottom.
const floor = 10e-6

// Times chooses the scale for lengths of time: log where they differ so much that a linear one would hide the short ones.
func Times(values []float64) Scale {
	low, high := math.Inf(1), 0.0
	for _, v := range values {
		high = max(high, v)
		low = min(low, max(v, floor))
	}
	switch {
	case high == 0:
		return Linear{0, 1}
	case high/low < wide:
		step := linearTicks(0, high*1.05, 3)
		return Linear{0, max(high*1.08, step[len(step)-1])}
	}
	return Log{math.Pow(10, math.Floor(math.Log10(low)+1e-9)), math.Pow(10, math.Ceil(math.Log10(high)-1e-9))}
}

func part(v, low, high float64) float64 {
	if high <= low {
		return 0
	}
	return min(1, max(0, (v-low)/(high-low)))
}
