package plot

import (
	"math"
	"strconv"
)

// linearTicks returns about n multiples of 1, 2 or 5 times a power of ten from low to high.
func linearTicks(low, high float64, n int) []float64 {
	if high <= low || n < 1 {
		return []float64{low}
	}
	step := niceStep((high - low) / float64(n))
	var ticks []float64
	// Counting in whole steps, not adding up, keeps 0.3 from becoming 0.30000000000000004.
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		ticks = append(ticks, round(i*step, 9)+0) // +0 turns -0 into 0
	}
	return ticks
}

// niceStep is the smallest of 1, 2, 5 times a power of ten that is not below step.
func niceStep(step float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= step*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// decades returns the powers of ten from low to high, leaving out every second (third, …) where there are more than n.
func decades(low, high float64, n int) []float64 {
	first := int(math.Ceil(math.Log10(low) - 1e-9))
	last := int(math.Floor(math.Log10(high) + 1e-9))
	step := 1
	for n > 0 && (last-first)/step+1 > n {
		step++
	}
	var ticks []float64
	for e := first; e <= last; e += step {
		ticks = append(ticks, math.Pow10(e))
	}
	return ticks
}

// clock labels points of a time axis with as many decimals as tell them apart, with the unit on the first only.
func clock(ticks []float64) []string {
	decimals := 0
	for i := 1; i < len(ticks); i++ {
		for decimals < 3 && round(ticks[i], decimals) == round(ticks[i-1], decimals) {
			decimals++
		}
		for decimals < 3 && math.Abs(round(ticks[i], decimals)-ticks[i]) > 1e-9 {
			decimals++
		}
	}
	if len(ticks) == 1 && ticks[0] != math.Trunc(ticks[0]) {
		decimals = 1
	}
	labels := make([]string, len(ticks))
	for i, t := range ticks {
		labels[i] = strconv.FormatFloat(t, 'f', decimals, 64)
		if i == 0 {
			labels[i] += " s"
		}
	}
	return labels
}

func round(v float64, decimals int) float64 {
	p := math.Pow10(decimals)
	return math.Round(v*p) / p
}
