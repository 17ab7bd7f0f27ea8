package agree

import (
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// explain compares the differences that the scenario explains with those that are there.
func (c *comparison) explain() {
	for _, d := range c.explains.Differences {
		one, other := answerIn(d, c.sides[0]), answerIn(d, c.sides[1])
		at := slices.IndexFunc(c.Rows, func(r Row) bool { return r.Subject == d.Subject })
		if one.Says == other.Says || one.Says == "" || other.Says == "" || at < 0 {
			continue // these two runs are not meant
		}
		row := &c.Rows[at]
		switch {
		case row.Result == Open || row.Result == Skipped:
		case row.Answers[0].Says == one.Says && row.Answers[1].Says == other.Says:
			row.Result, row.Why = Explained, d.Why
		default:
			row.Result = Unexplained
			row.Why = fmt.Sprintf("the scenario explains something else (%s, %s): %s", one, other, d.Why)
		}
	}
}

// answerIn is what a difference says about a run, or nothing.
func answerIn(d scenario.Difference, s JudgedRun) scenario.Side {
	for _, side := range d.On {
		if side.Covers(s.Run.Cluster, s.Run.Proxy) {
			return side
		}
	}
	return scenario.Side{}
}

// whole compares what belongs to neither a variant nor a claim: the machine afterwards, and errors around the lanes.
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

// beside is the outcome of a run if neither variants nor claims account for it, else pass.
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

// conclude sums up the rows. The worst one counts.
func (c *comparison) conclude() {
	c.Counts = map[Result]int{}
	for _, r := range c.Rows {
		c.Counts[r.Result]++
	}
	same, open := c.Counts[Same], c.Counts[Open]
	explained, unexplained := c.Counts[Explained], c.Counts[Unexplained]
	said := fmt.Sprintf("both say the same on %s", points(same))
	if explained > 0 {
		said += fmt.Sprintf(", and the scenario explains why they differ on %d", explained)
	}
	switch {
	case unexplained > 0:
		c.Outcome = judge.Fail
		c.Reason = fmt.Sprintf("%s unexplained; %s", pointsAre(unexplained), said)
	case open > 0:
		c.Outcome = judge.Inconclusive
		c.Reason = fmt.Sprintf("%s inconclusive; %s", pointsAre(open), said)
	case same+explained > 0:
		c.Outcome, c.Reason = judge.Pass, said
	default:
		c.Outcome, c.Reason = judge.Skipped, "no point was looked at by both"
	}
	if skipped := c.Counts[Skipped]; skipped > 0 && c.Outcome != judge.Skipped {
		c.Reason += fmt.Sprintf("; %s cannot be compared: not both have an answer there", points(skipped))
	}
}

func points(n int) string {
	if n == 1 {
		return "1 point"
	}
	return fmt.Sprintf("%d points", n)
}

func pointsAre(n int) string {
	if n == 1 {
		return "1 point is"
	}
	return points(n) + " are"
}
