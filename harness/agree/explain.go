package agree

import (
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// explain holds the differences that the scenario explains against those that are there.
func (c *comparison) explain() {
	for _, d := range c.explains.Differences {
		one, other := sideOf(d, c.sides[0]), sideOf(d, c.sides[1])
		at := slices.IndexFunc(c.Rows, func(r Row) bool { return r.Subject == d.Subject })
		if one.Says == other.Says || one.Says == "" || other.Says == "" || at < 0 {
			continue // these two runs are not meant
		}
		row := &c.Rows[at]
		switch {
		case row.Result == Open || row.Result == Skipped:
		case row.Answers[0].Says == one.Says && row.Answers[1].Says == other.Says:
			row.Result, row.Why = Explained, d.Why
		case row.Result == Same:
			row.Result = Stale
			row.Why = fmt.Sprintf("the scenario explains a difference that is not there (%s, %s): %s", one, other, d.Why)
		default:
			row.Result = Unexplained
			row.Why = fmt.Sprintf("the scenario explains it the other way (%s, %s): %s", one, other, d.Why)
		}
	}
}

// sideOf is what a difference says of a run, or nothing.
func sideOf(d scenario.Difference, s Side) scenario.Side {
	for _, side := range d.On {
		if side.Covers(s.Run.Cluster, s.Run.Proxy) {
			return side
		}
	}
	return scenario.Side{}
}

// whole compares what concerns neither a variant nor a claim: the machine afterwards, and errors around the lanes.
func (c *comparison) whole() {
	var outcomes [2]judge.Outcome
	row, why := Row{Result: Unexplained}, reasons{}
	for i, s := range c.sides {
		outcomes[i] = beside(s.Verdict)
		row.Answers[i].Outcome = s.Verdict.Outcome
		if outcomes[i] != judge.Pass {
			why[i] = s.Verdict.Reason
		}
	}
	row.Why = c.say(why)
	if outcomes[0] == judge.Inconclusive || outcomes[1] == judge.Inconclusive {
		row.Result = Open
	}
	if row.Result == Open || outcomes[0] != outcomes[1] {
		c.add(row)
	}
}

// beside is the outcome of a run where neither variants nor claims account for it, else pass.
func beside(v judge.Verdict) judge.Outcome {
	if v.Outcome == judge.Pass || v.Outcome == judge.Skipped {
		return judge.Pass
	}
	for _, one := range v.Variants {
		if one.Outcome == v.Outcome {
			return judge.Pass
		}
	}
	for _, claim := range v.Claims {
		if v.Outcome == judge.Fail && claim.Result != claim.Expected && claim.Result != judge.Untested && claim.Expected != judge.Untested {
			return judge.Pass
		}
	}
	return v.Outcome
}

// conclude says what came of it all. The worst row counts.
func (c *comparison) conclude() {
	c.Counts = map[Result]int{}
	for _, r := range c.Rows {
		c.Counts[r.Result]++
	}
	same, open := c.Counts[Same], c.Counts[Open]
	explained, unexplained, stale := c.Counts[Explained], c.Counts[Unexplained], c.Counts[Stale]
	said := fmt.Sprintf("both say the same on %s", points(same))
	if explained > 0 {
		said += fmt.Sprintf(", and the scenario explains why they differ on %d", explained)
	}
	switch {
	case unexplained+stale > 0:
		c.Outcome = judge.Fail
		c.Reason = fmt.Sprintf("they differ on %s without an explanation", points(unexplained))
		if stale > 0 {
			c.Reason = fmt.Sprintf("the scenario explains a difference that is not there on %s", points(stale))
		}
		if unexplained > 0 && stale > 0 {
			c.Reason = fmt.Sprintf("they differ on %s without an explanation, and the scenario explains %d more that are not there", points(unexplained), stale)
		}
		c.Reason += "; " + said
	case open > 0:
		c.Outcome = judge.Inconclusive
		c.Reason = fmt.Sprintf("nothing can be said on %s, where a run is inconclusive; %s", points(open), said)
	case same+explained > 0:
		c.Outcome, c.Reason = judge.Pass, said
	default:
		c.Outcome, c.Reason = judge.Skipped, "there is nothing that both have looked at"
	}
	if skipped := c.Counts[Skipped]; skipped > 0 && c.Outcome != judge.Skipped {
		c.Reason += fmt.Sprintf("; %s cannot be compared, because not both looked there", points(skipped))
	}
}

func points(n int) string {
	if n == 1 {
		return "1 point"
	}
	return fmt.Sprintf("%d points", n)
}
