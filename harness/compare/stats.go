package compare

import (
	"math"
	"slices"
	"sort"

	"github.com/aclements/go-moremath/mathx"
	"github.com/aclements/go-moremath/stats"
)

// The library's exact rank test takes milliseconds from 50 numbers on, and a comparison has thousands of tests. From 20 on, the normal
// approximation is good, and its p-values of large differences are too large rather than too small.
func init() { stats.MannWhitneyExactLimit, stats.MannWhitneyTiesExactLimit = exactLimit, exactLimit }

const exactLimit = 20

// fisher is the two-sided p-value of Fisher's exact test that two rates are one: the probability, given how many hits there are on both
// sides together, of a division that is at most as probable as this one. R. A. Fisher, "Statistical Methods for Research Workers" (1934),
// §21.02.
func fisher(hits1, trials1, hits2, trials2 int) float64 {
	d := stats.HypergeometicDist{N: trials1 + trials2, K: hits1 + hits2, Draws: trials1}
	low, high := d.Bounds()
	from, to, at := int(low), int(high), hits1
	// As R's fisher.test does: what differs by rounding only is as probable.
	limit := d.PMF(float64(at)) * (1 + 1e-7)
	if limit == 0 {
		return 0 // beyond the smallest number there is
	}
	mode := int(math.Floor(float64(d.Draws+1) * float64(d.K+1) / float64(d.N+2)))
	p := func(i int) float64 { return d.PMF(float64(i)) }
	// Probabilities rise up to the mode and fall after it: both tails are found by bisection, and are summed from where they are greatest.
	left := from + sort.Search(mode-from+1, func(i int) bool { return p(from+i) > limit }) - 1
	right := mode + sort.Search(to-mode+1, func(i int) bool { return p(mode+i) <= limit })
	if left >= mode {
		return 1 // all divisions are as probable as this one or less
	}
	return min(1, tail(p, left, from, -1)+tail(p, right, to, 1))
}

// tail adds up probabilities from one number to another, as far as they count.
func tail(p func(int) float64, from, to, step int) float64 {
	sum := 0.0
	for i := from; i*step <= to*step; i += step {
		one := p(i)
		if sum += one; one <= sum*1e-17 {
			break
		}
	}
	return sum
}

// fisherBest is the smallest p-value that so many trials can have.
func fisherBest(trials1, trials2 int) float64 { return fisher(trials1, trials1, 0, trials2) }

// fisherBestOf is the smallest p-value that so many trials can have if there are so many hits in all.
func fisherBestOf(hits, trials1, trials2 int) float64 {
	most := min(hits, trials1)
	least := max(0, hits-trials2)
	return min(fisher(most, trials1, hits-most, trials2), fisher(least, trials1, hits-least, trials2))
}

// rank is the two-sided p-value of the Mann-Whitney U test that two samples come from one distribution, and the share of all pairs in which
// the second sample's number is the greater, ties counting half. The p-value is exact for up to 20 numbers: it is twice that of the smaller tail. (The library's own two-sided value is wrong with ties, where the distribution is not symmetric.)
func rank(first, second []float64) (p, greater float64) {
	less, err := stats.MannWhitneyUTest(first, second, stats.LocationLess)
	if err != nil {
		return 1, 0.5 // all numbers are equal, or there are none
	}
	more, err := stats.MannWhitneyUTest(second, first, stats.LocationLess)
	if err != nil {
		return 1, 0.5
	}
	return min(1, 2*less.P, 2*more.P), 1 - less.U/(float64(less.N1)*float64(less.N2))
}

// rankBest is the smallest p-value that the Mann-Whitney U test can have with so many numbers: all of one sample are smaller than all of the
// other.
func rankBest(n1, n2 int) float64 {
	if n1 == 0 || n2 == 0 {
		return 1
	}
	return min(1, 2*math.Exp(-mathx.Lchoose(n1+n2, n1)))
}

// median returns the median of numbers, and its 95 % interval by order statistics, which needs 6 numbers; with fewer it is 0 and 0.
func median(numbers []float64) (middle, low, high float64) {
	if len(numbers) == 0 {
		return 0, 0, 0
	}
	sorted := slices.Sorted(slices.Values(numbers))
	n := len(sorted)
	middle = (sorted[(n-1)/2] + sorted[n/2]) / 2
	// The median is outside of the interval from the dth to the dth last number if less than d numbers are on one of its sides.
	number := stats.BinomialDist{N: n, P: 0.5}
	d := sort.Search(n/2, func(d int) bool { return 2*number.CDF(float64(d)) > 0.05 })
	if d == 0 {
		return middle, 0, 0
	}
	return middle, sorted[d-1], sorted[n-d]
}

// needed is how many runs each side must have so that the rank test of a family of so many tests can find a lone difference. If only Head
// has too few, Base's are left as they are.
func needed(base, head, family int) [2]int {
	const most = 1000
	enough := func(b, h int) bool { return h >= minRuns && b >= minRuns && rankBest(b, h)*float64(family) <= alpha }
	for h := head; h <= most; h++ {
		if h <= 2*max(base, 1) && enough(base, h) {
			return [2]int{base, h}
		}
	}
	for n := minRuns; ; n++ {
		if enough(n, n) || n == most {
			return [2]int{max(n, base), max(n, head)}
		}
	}
}

// adjust returns the p-values corrected by Benjamini and Hochberg, "Controlling the false discovery rate", J. R. Statist. Soc. B 57 (1995)
// 289-300: at most the share alpha of the differences whose corrected value is at most alpha are chance.
func adjust(p []float64) []float64 {
	byP := make([]int, len(p))
	for i := range byP {
		byP[i] = i
	}
	slices.SortFunc(byP, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return a - b
	})
	q, least := make([]float64, len(p)), 1.0
	for at := len(byP) - 1; at >= 0; at-- {
		i := byP[at]
		least = min(least, p[i]*float64(len(p))/float64(at+1))
		q[i] = least
	}
	return q
}
