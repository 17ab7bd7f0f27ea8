package agree

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// claims compares what became of each claim.
func (c *comparison) claims() {
	var ids []string
	for _, s := range c.sides {
		for _, claim := range s.Scenario.Claims {
			if !slices.Contains(ids, claim.ID) {
				ids = append(ids, claim.ID)
			}
		}
	}
	for _, id := range ids {
		c.claim(id)
	}
}

func (c *comparison) claim(id string) {
	row := Row{Subject: scenario.Subject{Claim: id}, Result: Same}
	var untested reasons
	skipped, expected := false, true
	for i, s := range c.sides {
		at := slices.IndexFunc(s.Verdict.Claims, func(one judge.Claim) bool { return one.ID == id })
		if at < 0 {
			untested[i] = "it was not judged"
			skipped = skipped || s.Verdict.Outcome != judge.Inconclusive
			continue
		}
		claim := s.Verdict.Claims[at]
		row.Answers[i] = Answer{Says: claim.Result, Seen: claim.Seen}
		expected = expected && claim.Result == claim.Expected
		if claim.Result == judge.Untested {
			untested[i] = cmp.Or(claim.Seen, "it was not tested")
			skipped = skipped || !inconclusive(s, id)
		}
	}
	switch {
	case skipped:
		row.Result, row.Why = Skipped, c.say(untested)
	case untested.any():
		row.Result, row.Why = Open, c.say(untested)
	case row.Answers[0].Says == row.Answers[1].Says:
	case expected:
		row.Result, row.Why = Explained, c.cases(id)
	default:
		row.Result = Unexplained
	}
	c.add(row)
}

// inconclusive reports whether nothing may be concluded from the phase that a claim looks at.
func inconclusive(s JudgedRun, claim string) bool {
	at := slices.IndexFunc(s.Scenario.Claims, func(one scenario.Claim) bool { return one.ID == claim })
	for _, v := range s.Verdict.Variants {
		for _, p := range v.Phases {
			if at >= 0 && v.Name == s.Scenario.Claims[at].Check.Variant && p.Name == s.Scenario.Claims[at].Check.Phase {
				return p.Outcome == judge.Inconclusive
			}
		}
	}
	return false
}

// cases says which case of a claim each side is.
func (c *comparison) cases(id string) string {
	var words []string
	for i, s := range c.sides {
		for _, claim := range s.Scenario.Claims {
			if claim.ID == id {
				words = append(words, fmt.Sprintf("%s (%s)", expectation(claim, s.Run), c.Runs[i].Name))
			}
		}
	}
	return "it is expected so: " + strings.Join(words, ", ")
}

// expectation is the case of a claim that applies to a run, as the judge sees it.
func expectation(claim scenario.Claim, run rundir.Run) string {
	var without []string
	for _, one := range claim.Expected {
		if run.Offers[one.Offers].OK {
			return fmt.Sprintf("%s with %s", one.Result, one.Offers)
		}
		if one.Offers == "" {
			return strings.TrimSuffix(one.Result+" without "+strings.Join(without, " and "), " without ")
		}
		without = append(without, one.Offers)
	}
	return "nothing is expected"
}
