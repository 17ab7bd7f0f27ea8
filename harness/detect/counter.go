package detect

import (
	"errors"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Counter fires when a number that an agent reads is, or has risen, as in the bound. Exactly one of value, rise and
// risePerAttempt is given.
type Counter struct {
	// Reader is who reads: conntrack, or change/ID for what a change says of itself.
	Reader string `json:"reader"`
	// On is where it is read, as in steps; rises at several places are added up. Not given for change/ID.
	On string `json:"on,omitempty"`
	// Key is the name of the number, such as insert_failed.
	Key string `json:"key"`
	// Value bounds the number at the end of the phase, at every place.
	Value *scenario.NumberRange `json:"value,omitempty"`
	// Rise bounds by how much the number rose in the phase.
	Rise *scenario.NumberRange `json:"rise,omitempty"`
	// RisePerAttempt bounds the rise divided by the attempts of the symptom's probe in the phase.
	RisePerAttempt *scenario.NumberRange `json:"risePerAttempt,omitempty"`
}

// Validate refuses settings that mean nothing.
func (c *Counter) Validate() error {
	var errs []error
	if c.Reader == "" || c.Key == "" {
		errs = append(errs, errors.New("reader and key must be given"))
	}
	if ofChange := strings.HasPrefix(c.Reader, "change/"); ofChange != (c.On == "") {
		errs = append(errs, errors.New("on must be given, except for change/ID"))
	}
	given := 0
	for _, r := range []*scenario.NumberRange{c.Value, c.Rise, c.RisePerAttempt} {
		if r == nil {
			continue
		}
		given++
		if r.Min == nil && r.Max == nil {
			errs = append(errs, errors.New("the bound must have a min or a max"))
		}
	}
	if given != 1 {
		errs = append(errs, errors.New("exactly one of value, rise and risePerAttempt must be given"))
	}
	return errors.Join(errs...)
}

// Decide holds the bound against the readings.
func (c *Counter) Decide(w Window) Result {
	check := Reading(scenario.ReadingExpectation(*c), w)
	if strings.HasPrefix(c.Reader, "change/") && !slices.ContainsFunc(w.Counters, func(seen Counters) bool { return seen.Reader == c.Reader }) {
		// What a change counts is not there to be read before the change is made: that is quiet, not blind.
		return Result{Text: c.Reader + " is not made"}
	}
	text := c.Key + " " + check.Seen
	if check.Blind {
		text = check.Seen
	}
	return Result{Fired: check.OK, Reading: check.Number, Text: text, Blind: check.Blind}
}
