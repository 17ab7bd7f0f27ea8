package compare

import (
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// Published: R. A. Fisher, "The Design of Experiments" (1935), the lady tasting tea; R's documentation of fisher.test, after Fisher's data on
// convictions of twins; Wikipedia, "Fisher's exact test" (dieting).
func TestFisherAgainstPublishedExamples(t *testing.T) {
	g := NewWithT(t)
	g.Expect(fisher(3, 4, 1, 4)).To(BeNumerically("~", 0.4857, 5e-5))
	g.Expect(fisher(2, 17, 10, 13)).To(BeNumerically("~", 0.0005367, 5e-8))
	g.Expect(fisher(1, 12, 9, 12)).To(BeNumerically("~", 0.002759, 5e-7))
	g.Expect(fisher(0, 0, 3, 9)).To(Equal(1.0))
	g.Expect(fisher(0, 50_000_000, 50_000_000, 50_000_000)).To(BeNumerically("<", 1e-300))
}

// Independent: whole numbers and every possible table.
func TestFisherAgainstEveryTable(t *testing.T) {
	g := NewWithT(t)
	for n1 := range 9 {
		for n2 := range 8 {
			for a := range n1 + 1 {
				for b := range n2 + 1 {
					g.Expect(fisher(a, n1, b, n2)).To(BeNumerically("~", fisherByCounting(a, n1, b, n2), 1e-9), "%d/%d %d/%d", a, n1, b, n2)
				}
			}
		}
	}
}

func fisherByCounting(a, n1, b, n2 int) float64 {
	ways := func(i int) *big.Int {
		one := new(big.Int).Binomial(int64(n1), int64(i))
		return one.Mul(one, new(big.Int).Binomial(int64(n2), int64(a+b-i)))
	}
	sum, all := new(big.Int), new(big.Int).Binomial(int64(n1+n2), int64(a+b))
	for i := max(0, a+b-n2); i <= min(n1, a+b); i++ {
		if one := ways(i); one.Cmp(ways(a)) <= 0 {
			sum.Add(sum, one)
		}
	}
	p, _ := new(big.Rat).SetFrac(sum, all).Float64()
	return p
}

// Published: critical values of U for a two-sided test at 0.05, after H. B. Mann and D. R. Whitney (1947), as in S. Siegel, "Nonparametric
// Statistics" (1956), table K. U is significant up to the value and not beyond it.
func TestRankAgainstPublishedTables(t *testing.T) {
	g := NewWithT(t)
	for _, row := range []struct{ n1, n2, critical int }{
		{4, 4, 0}, {5, 5, 2}, {6, 6, 5}, {7, 7, 8}, {8, 8, 13}, {8, 12, 22}, {10, 10, 23}, {12, 12, 37}, {15, 15, 64}, {20, 20, 127}, {10, 20, 55},
	} {
		for u, significant := range map[int]bool{row.critical: true, row.critical + 1: false} {
			p, _ := rank(withU(row.n1, row.n2, u))
			g.Expect(p <= 0.05).To(Equal(significant), "n1 %d, n2 %d, U %d: p %g", row.n1, row.n2, u, p)
		}
	}
	p, greater := rank([]float64{1, 2, 3, 4}, []float64{5, 6, 7, 8})
	g.Expect(p).To(BeNumerically("~", 2.0/70, 1e-12))
	g.Expect(greater).To(Equal(1.0))
	_, greater = rank([]float64{5, 5}, []float64{5, 5})
	g.Expect(greater).To(Equal(0.5))
}

// withU makes two samples without ties in which u pairs have the greater number in the first.
func withU(n1, n2, u int) (first, second []float64) {
	for i := range n2 {
		second = append(second, float64(i))
	}
	for i := range n1 {
		above := min(u, n2) // how many of the second sample this one is greater than
		u -= above
		first = append(first, float64(above)-0.5+float64(i)/1000)
	}
	return first, second
}

// Independent: every way to deal the numbers to the two samples, also with ties.
func TestRankAgainstEveryDeal(t *testing.T) {
	g := NewWithT(t)
	for _, all := range [][]float64{{1, 2, 3, 4, 5, 6, 7}, {1, 2, 2, 2, 5, 6, 6, 9}, {1, 1, 1, 1, 2, 2, 3, 3, 3}} {
		for dealt := range 1 << len(all) {
			first, second := deal(all, dealt)
			if len(first) == 0 || len(second) == 0 {
				continue
			}
			p, _ := rank(first, second)
			g.Expect(p).To(BeNumerically("~", rankByCounting(all, dealt), 1e-9), fmt.Sprint(first, second))
		}
	}
}

func deal(all []float64, dealt int) (first, second []float64) {
	for i, n := range all {
		if dealt&(1<<i) != 0 {
			first = append(first, n)
		} else {
			second = append(second, n)
		}
	}
	return first, second
}

// rankByCounting is twice the share of deals that are as far to the side as this one.
func rankByCounting(all []float64, dealt int) float64 {
	u := func(dealt int) (u float64) {
		first, second := deal(all, dealt)
		for _, a := range first {
			for _, b := range second {
				if a > b {
					u++
				} else if a == b {
					u += 0.5
				}
			}
		}
		return u
	}
	less, more, deals := 0, 0, 0
	for other := range 1 << len(all) {
		if bits.OnesCount(uint(other)) != bits.OnesCount(uint(dealt)) {
			continue
		}
		deals++
		if u(other) <= u(dealt) {
			less++
		}
		if u(other) >= u(dealt) {
			more++
		}
	}
	return min(1, 2*float64(min(less, more))/float64(deals))
}

// Published: the example of Benjamini and Hochberg (1995), section 3.3, 15 p-values of which the first four are rejected at 0.05.
func TestCorrectionAgainstPublishedExample(t *testing.T) {
	g := NewWithT(t)
	p := []float64{0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1}
	slices.Reverse(p)
	q := adjust(p)
	slices.Reverse(q)
	for i, one := range q {
		g.Expect(one <= 0.05).To(Equal(i < 4), "%d: %g", i, one)
	}
	g.Expect(q[0]).To(BeNumerically("~", 0.0015, 1e-12))
	g.Expect(adjust(nil)).To(BeEmpty())
}

// Published: binomial intervals of the median, as in W. J. Conover, "Practical Nonparametric Statistics", and any table of the sign test.
func TestMedianIntervals(t *testing.T) {
	g := NewWithT(t)
	for n, want := range map[int][2]float64{5: {0, 0}, 6: {1, 6}, 8: {1, 8}, 9: {2, 8}, 10: {2, 9}, 20: {6, 15}} {
		var numbers []float64
		for i := range n {
			numbers = append(numbers, float64(n-i))
		}
		middle, low, high := median(numbers)
		g.Expect(middle).To(Equal(float64(n+1) / 2))
		g.Expect([2]float64{low, high}).To(Equal(want), "%d numbers", n)
	}
}

func TestHowManyRunsWouldDo(t *testing.T) {
	g := NewWithT(t)
	g.Expect(needed(1, 1, 1)).To(Equal([2]int{4, 4}))
	g.Expect(rankBest(10, 10) * 1000).To(BeNumerically("<=", alpha))
	g.Expect(rankBest(9, 9) * 1300).To(BeNumerically(">", alpha))
	g.Expect(needed(3, 3, 1300)).To(Equal([2]int{10, 10}))
	g.Expect(needed(12, 1, 1)).To(Equal([2]int{12, 4}))
	n := needed(12, 1, 1000)
	g.Expect(n[0]).To(Equal(12))
	g.Expect(rankBest(n[0], n[1]) * 1000).To(BeNumerically("<=", alpha))
	g.Expect(rankBest(n[0], n[1]-1) * 1000).To(BeNumerically(">", alpha))
}

// The interval of rates is the judge's, which is tested there.
func TestRatesHaveTheJudgesInterval(t *testing.T) {
	g := NewWithT(t)
	test := rateTest(Subject{What: Reproduction}, &rate{hits: 10, trials: 10, each: []float64{1}}, &rate{hits: 7, trials: 10, each: []float64{0.7}})
	low, high := judge.Wilson(7, 10)
	g.Expect([]float64{test.Head.Low, test.Head.High}).To(Equal([]float64{low, high}))
	g.Expect(test.P).To(BeNumerically("~", fisherByCounting(10, 10, 7, 10), 1e-9))
}
