package detect

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Counter fires if a number that an agent reads, or its rise, is within the bound. Exactly one of value, rise and risePerAttempt is
// given.
type Counter struct {
	scenario.ReadingExpectation
}

// Decide checks the bound on the readings.
func (c *Counter) Decide(w Window) Result {
	check := Reading(c.ReadingExpectation, w)
	if _, ofChange := c.Change(); ofChange && !slices.ContainsFunc(w.Counters, func(seen Counters) bool { return seen.Reader == c.Reader }) {
		// The readings of a change do not exist before it is made: that is quiet, not blind.
		return Result{Text: c.Reader + " is not made"}
	}
	text := c.Key + " " + check.Seen
	if check.Blind {
		text = check.Seen
	}
	return Result{Fired: check.OK, Reading: check.Number, Text: text, Blind: check.Blind, Wavers: check.Wavers}
}
