package detect

import (
	"cmp"
	"slices"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// attempt is a sample with what tells it from others.
type attempt struct {
	history.Sample
	end float64
	// met names the changes that acted on the attempt.
	met map[string]bool
}

// meeters lists the changes that must act on an attempt, so that it is a trial: those whose own readings are expected to rise with every
// attempt.
func meeters(proof []scenario.ReadingExpectation) []string {
	var ids []string
	for _, exp := range proof {
		if id, ok := exp.Change(); ok && exp.RisePerAttempt != nil && exp.RisePerAttempt.Min != nil && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// split returns which attempts are trials, the ones that every change in needed has acted on, and which ones the fault missed. Met is the
// meetings of the changes; of a change that is not in it, nobody knows whom it met, and every attempt counts.
func split(attempts []attempt, needed []string, met map[string][]history.Meeting) (trials, missed []history.Sample) {
	slices.SortStableFunc(attempts, func(a, b attempt) int { return cmp.Compare(a.end, b.end) })
	for id, meetings := range met {
		match(attempts, id, meetings)
	}
	slices.SortStableFunc(attempts, func(a, b attempt) int { return cmp.Compare(a.Start, b.Start) })
	for _, a := range attempts {
		if slices.ContainsFunc(needed, func(id string) bool { _, known := met[id]; return known && !a.met[id] }) {
			missed = append(missed, a.Sample)
		} else {
			trials = append(trials, a.Sample)
		}
	}
	return trials, missed
}

// match finds the attempt of each meeting: the one that was under way then and has the flow's source port. Where a port was translated or a
// proxy is in between, it is one that was under way and has not met the change: of several, which are in order of their ends, the first.
func match(attempts []attempt, id string, meetings []history.Meeting) {
	var strange []history.Meeting
	for _, m := range meetings {
		i := slices.IndexFunc(attempts, func(a attempt) bool { return a.during(m) && a.owns(m) })
		if i < 0 {
			strange = append(strange, m)
			continue
		}
		attempts[i].met[id] = true
	}
	slices.SortStableFunc(strange, func(a, b history.Meeting) int { return cmp.Compare(a.T, b.T) })
	for _, m := range strange {
		if i := slices.IndexFunc(attempts, func(a attempt) bool { return a.during(m) && !a.met[id] }); i >= 0 {
			attempts[i].met[id] = true
		}
	}
}

func (a attempt) during(m history.Meeting) bool { return a.Start <= m.T && m.T <= a.end }

// owns says whether one of the flow's ports is between the attempt's first and last.
func (a attempt) owns(m history.Meeting) bool {
	return slices.ContainsFunc(m.Ports, func(port int) bool { return len(a.Ports) > 0 && a.Ports[0] <= port && port <= a.Ports[len(a.Ports)-1] })
}
