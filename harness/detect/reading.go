package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// WaitFor is how a bound on a reading is written in wait events and in checks: "conntrack on nodes: insert_failed rises by at
// least 1". A wait in a history is known by it.
func WaitFor(exp scenario.ReadingExpectation) string {
	where := exp.Reader
	if exp.On != "" {
		where += " on " + exp.On
	}
	switch {
	case exp.Value != nil:
		return fmt.Sprintf("%s: %s is %s", where, exp.Key, limits(exp.Value))
	case exp.Rise != nil:
		return fmt.Sprintf("%s: %s rises by %s", where, exp.Key, limits(exp.Rise))
	}
	return fmt.Sprintf("%s: %s rises by %s per attempt", where, exp.Key, limits(exp.RisePerAttempt))
}

// Reading checks a bound on a window. A value is checked at each place, and the worst is shown; rises are added up over the places.
func Reading(exp scenario.ReadingExpectation, w Window) Check {
	return readings(exp, w.Counters, w.Attempts)
}

// ReadingCheck returns only what Reading has seen, and whether the bound holds.
func ReadingCheck(exp scenario.ReadingExpectation, w Window) (seen string, ok bool) {
	c := Reading(exp, w)
	return c.Seen, c.OK
}

// ReadingNow holds a bound against readings just taken, as a wait does over and over. Rises are counted from the readings in
// begin, which for a bound on a value may be nil. Attempts are not known yet: a bound per attempt never holds.
func ReadingNow(exp scenario.ReadingExpectation, begin, now []history.Reading) (seen string, ok bool) {
	var w Window
	for _, r := range begin {
		r.At = "begin"
		w.add(r)
	}
	for _, r := range now {
		r.At = "end"
		w.add(r)
	}
	return ReadingCheck(exp, w)
}

// Given says whether a bound's reader has returned anything. If not, waiting is useless.
func Given(exp scenario.ReadingExpectation, now []history.Reading) bool {
	return slices.ContainsFunc(now, func(r history.Reading) bool { return r.Reader == exp.Reader && covers(exp.On, r.On, r.For) })
}

func readings(exp scenario.ReadingExpectation, counters []Counters, attempts int) Check {
	check := Check{What: WaitFor(exp)}
	blind := func(format string, a ...any) Check {
		check.Seen = fmt.Sprintf(format, a...)
		check.Blind, check.Fact = true, "unknown, "+check.Seen
		return check
	}
	var places []Counters
	for _, c := range counters {
		if c.Reader == exp.Reader && covers(exp.On, c.On, c.For) {
			places = append(places, c)
		}
	}
	if len(places) == 0 {
		return blind("%s was not read", exp.Reader)
	}
	if exp.Value != nil {
		return values(exp, places, check, blind)
	}
	rise := 0.0
	for _, c := range places {
		begin, ok := c.Begin[exp.Key]
		end, also := c.End[exp.Key]
		if !ok || !also {
			check.Lacks = len(c.Begin) > 0 && len(c.End) > 0 && ok == also
			return blind("%s of %s was not read on %s at begin and end", exp.Key, exp.Reader, c.On)
		}
		rise += end - begin
	}
	if exp.Rise != nil {
		check.Number, check.OK = rise, exp.Rise.Contains(rise)
		check.Seen = "rose by " + units.Number(rise)
		check.Fact, check.Because = check.Seen, limits(exp.Rise)+" expected"
		return check
	}
	if exp.RisePerAttempt == nil {
		return blind("the expectation has no bound")
	}
	if attempts == 0 {
		return blind("no attempts were made")
	}
	check.Number = rise / float64(attempts)
	check.OK = exp.RisePerAttempt.Contains(check.Number)
	check.Seen = fmt.Sprintf("rose by %s in %d attempts: %s per attempt", units.Number(rise), attempts, units.Number(check.Number))
	check.Fact, check.Because = check.Seen, limits(exp.RisePerAttempt)+" per attempt expected"
	return check
}

// values checks every place separately and shows the worst: one that violates the bound, or else the one nearest to it.
func values(exp scenario.ReadingExpectation, places []Counters, check Check, blind func(string, ...any) Check) Check {
	worst := func(a, b float64) float64 {
		if exp.Value.Min != nil {
			return min(a, b)
		}
		return max(a, b)
	}
	check.OK = true
	for i, c := range places {
		v, ok := c.End[exp.Key]
		if !ok {
			check = blind("%s of %s was not read on %s at the end", exp.Key, exp.Reader, c.On)
			check.Lacks = len(c.End) > 0
			return check
		}
		inside := exp.Value.Contains(v)
		switch {
		case i == 0, check.OK && !inside:
			check.Number = v
		case check.OK == inside:
			check.Number = worst(check.Number, v)
		}
		check.OK = check.OK && inside
		for _, reading := range c.Readings {
			before, ok := reading[exp.Key]
			check.Wavers = check.Wavers || ok && exp.Value.Contains(before) != inside
		}
	}
	check.Seen = "is " + units.Number(check.Number)
	if len(places) > 1 {
		check.Seen += fmt.Sprintf(" at the worst of %d places", len(places))
	}
	check.Fact, check.Because = check.Seen, limits(exp.Value)+" expected"
	return check
}

// covers reports whether a selector of a scenario covers a concrete place. Which places node-of/POD covers is known only to
// the engine, which says so in the reading.
func covers(selector, place string, selectors []string) bool {
	switch {
	case selector == "", selector == place, slices.Contains(selectors, selector):
		return true
	case selector == "nodes":
		return strings.HasPrefix(place, "node/")
	case strings.HasPrefix(selector, "pod/"):
		return strings.HasPrefix(place, selector+"-")
	}
	return false
}

func limits(r *units.NumberRange) string {
	if r != nil && r.Min != nil && r.Max != nil && *r.Min == *r.Max {
		return "exactly " + units.Number(*r.Min)
	}
	return r.String()
}
