package website

import (
	"math"
	"slices"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// Bounds of what is compared on the first page, in runs of a series.
const (
	// maxBase is how many runs before are compared with.
	maxBase = 20
	// recent is how many runs long a new outcome is told of, if it is a pass; others are told of until they pass.
	recent = 7
	// minWindow to maxWindow is how many of the newest runs are taken together where no outcome changed, a third of all that there are: times
	// need several runs, and on a page of a thousand tests more than in a comparison of one scenario.
	minWindow, maxWindow = 4, 8
)

// split divides the runs of a series into those before something changed and those since: at the first run with the newest outcome in which
// the fault met as many attempts as in the newest, or else before the newest runs.
func (s *series) split() (base, head []*results.Result) {
	newest := s.newest()
	at := len(s.runs) - 1
	if len(s.runs) >= 3*minWindow {
		at = len(s.runs) - min(len(s.runs)/3, maxWindow)
	}
	began := s.since(func(r *results.Result) bool {
		return r.Outcome == newest.Outcome && math.Abs(met(r)-met(newest)) < compare.Smallest.Rate
	})
	if began.before != nil {
		first := slices.Index(s.runs, began.first)
		if newest.Outcome != judge.Pass || len(s.runs)-first <= recent {
			at = first
		}
	}
	return s.runs[max(0, at-maxBase):at], s.runs[at:]
}

// met is the share of attempts that the fault met.
func met(r *results.Result) float64 {
	if r.Reproduction.Attempts == 0 {
		return 1
	}
	return float64(r.Reproduction.Trials) / float64(r.Reproduction.Attempts)
}

// whole is the newest night of an environment in which more than a few scenarios ran: what is missing in it is gone.
func (e *environment) whole() *night {
	most := 0
	for _, n := range e.nights {
		most = max(most, len(n.results))
	}
	for i := len(e.nights) - 1; i >= 0; i-- {
		if 2*len(e.nights[i].results) >= most {
			return e.nights[i]
		}
	}
	return nil
}
