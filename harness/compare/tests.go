package compare

import (
	"fmt"
	"math"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/judge"
)

// rateTest compares the rates of both sides by Fisher's exact test. Trials of one run are more alike than those of several: with enough
// runs, the difference must be one between the runs too.
func rateTest(about Subject, base, head *rate) *Test {
	t := &Test{Subject: about, Of: map[What]string{Reproduction: "trials that show the failure", Met: "attempts that the fault met"}[about.What], P: 1, best: 1}
	t.Base, t.Head = rateSample(base), rateSample(head)
	if base == nil || head == nil {
		return t
	}
	t.fisher()
	if len(base.each) >= minRuns && len(head.each) >= minRuns {
		if p, _ := rank(base.each, head.each); p > alpha {
			t.P = 1
		}
	}
	return t
}

func rateSample(r *rate) Sample {
	if r == nil {
		return Sample{}
	}
	return Sample{Runs: len(r.each), Hits: r.hits, Trials: r.trials}
}

// fisher fills in what Fisher's exact test says of the samples.
func (t *Test) fisher() {
	b, h := &t.Base, &t.Head
	b.Low, b.High = judge.Wilson(b.Hits, b.Trials)
	h.Low, h.High = judge.Wilson(h.Hits, h.Trials)
	t.P, t.best = fisher(b.Hits, b.Trials, h.Hits, h.Trials), fisherBestOf(b.Hits+h.Hits, b.Trials, h.Trials)
	t.Effect = share(*h) - share(*b)
}

func share(s Sample) float64 { return float64(s.Hits) / float64(max(s.Trials, 1)) }

// timeTest compares times by the Mann-Whitney U test. Attempts of one run are more alike than those of several, so each run counts once.
func timeTest(about Subject, base, head []float64) *Test {
	t := &Test{Subject: about, P: 1, best: 1, Base: timeSample(base), Head: timeSample(head)}
	if len(base) == 0 || len(head) == 0 {
		return t
	}
	if t.Base.Median > 0 {
		t.Effect = t.Head.Median/t.Base.Median - 1
	}
	t.P, t.Greater = rank(base, head)
	t.best = rankBest(len(base), len(head))
	return t
}

func timeSample(numbers []float64) Sample {
	s := Sample{Runs: len(numbers)}
	s.Median, s.Low, s.High = median(numbers)
	return s
}

// Large reports whether the difference is worth telling.
func (t *Test) Large() bool {
	if t.Rate() {
		return math.Abs(t.Effect) >= Smallest.Rate
	}
	by := math.Abs(t.Head.Median - t.Base.Median)
	least := map[What]float64{Latency: Smallest.Latency, Detection: Smallest.Detection, Recovery: Smallest.Recovery}[t.What]
	return by >= least && by >= Smallest.Time*min(t.Base.Median, t.Head.Median)
}

// Rate is whether rates are compared, and not times.
func (t *Test) Rate() bool { return t.What != Latency && t.What != Detection && t.What != Recovery }

// enough reports whether there are enough runs for a difference to be found at all, if the family has so many tests.
func (t *Test) enough(family int) bool {
	if t.Base.Runs == 0 || t.Head.Runs == 0 {
		return false
	}
	if t.Rate() {
		return fisherBest(t.Base.Trials, t.Head.Trials)*float64(family) <= alpha
	}
	return min(t.Base.Runs, t.Head.Runs) >= minRuns && t.best*float64(family) <= alpha
}

// decide says what a test has found. The family is how many tests are corrected for, times is how many tests of times there are.
func (t *Test) decide(family, times int) {
	switch {
	case t.Q <= alpha && t.Large():
		t.Change = t.direction()
	case t.enough(family) || t.Rate() && !t.Large():
		t.Change = Same
	default:
		t.Change = NotEnough
		if !t.Rate() {
			t.Need = needed(t.Base.Runs, t.Head.Runs, max(family, times))
		}
	}
}

// direction is whether a difference is for the worse. What a fault does to the attempts of a probe is not better or worse if it does it
// faster: only the times without it are.
func (t *Test) direction() Change {
	switch t.What {
	case Outcome, Restored, Claim, Phase, Detector:
		switch {
		case t.grade == neutral:
			return Changed
		case t.grade == bad && t.Effect > 0:
			return Worse
		case t.grade == open && t.Effect > 0:
			return Inconclusive
		}
		return Better
	case Reproduction, Met:
		if t.Base.Hits == 0 || t.Head.Hits == 0 {
			return Changed // one of the clusters repairs the failure; if the scenario does not expect that, the run fails
		}
		if t.Effect < 0 {
			return Worse
		}
		return Better
	case Latency:
		if kind, _, _ := strings.Cut(t.Phase, "/"); kind == "fault" || kind == "relapse" || kind == "control" {
			return Changed
		}
	}
	if t.Effect > 0 {
		return Worse
	}
	return Better
}

// String says the difference with its numbers.
func (t *Test) String() string {
	if t.Rate() {
		return fmt.Sprintf("%s: %s, before %s", t.Of, t.Head.String(), t.Base.String())
	}
	return fmt.Sprintf("%s, before %s: %s", t.Head.String(), t.Base.String(), t.Size())
}

// Size says how large the difference is and how sure: +31 %, longer in 98 % of pairs of runs, corrected p = 0.0002.
func (t *Test) Size() string {
	p := fmt.Sprintf(", corrected p = %.2g", t.Q)
	if t.Change == NotEnough {
		p = ""
	}
	if t.Rate() {
		return fmt.Sprintf("%+.0f points%s", 100*t.Effect, p)
	}
	size := fmt.Sprintf("%+.0f %%", 100*t.Effect)
	if t.Effect >= 2 {
		size = fmt.Sprintf("%.3g times as long", 1+t.Effect)
	}
	return fmt.Sprintf("%s, longer in %.0f %% of pairs of runs%s", size, 100*t.Greater, p)
}

// String says a sample with its interval.
func (s Sample) String() string {
	if s.Rate() {
		return fmt.Sprintf("%d of %d (%.0f to %.0f %%)", s.Hits, s.Trials, 100*s.Low, 100*s.High)
	}
	if s.Low == 0 && s.High == 0 {
		return fmt.Sprintf("%s in %s", units.Seconds(s.Median), runs(s.Runs))
	}
	return fmt.Sprintf("%s (%s to %s) in %s", units.Seconds(s.Median), units.Seconds(s.Low), units.Seconds(s.High), runs(s.Runs))
}

func runs(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}
