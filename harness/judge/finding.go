package judge

import (
	"fmt"
	"slices"
)

// finding is a check with what follows from it.
type finding struct {
	what, seen string
	ok         bool
	// outcome of the phase if the finding is not ok.
	outcome Outcome
	// gate marks what must hold before anything may be concluded: if it does not, only hard findings count beside it.
	gate bool
	// hard marks what always counts, such as what a run leaves behind.
	hard bool
	// reason is the whole sentence if it is not ok.
	reason string
}

// gate is a finding without which nothing may be concluded.
func gate(what, seen string, ok bool, reason string) finding {
	return finding{what: what, seen: seen, ok: ok, outcome: Inconclusive, gate: true, reason: reason}
}

// result is what becomes of one phase of one lane.
type result struct {
	outcome  Outcome
	reason   string
	findings []finding
}

func conclude(findings []finding) result {
	shut := slices.ContainsFunc(findings, func(f finding) bool { return f.gate && !f.ok })
	r := result{outcome: Pass, findings: findings}
	for _, f := range findings {
		if f.ok || shut && !f.gate && !f.hard {
			continue
		}
		// Strictly worse only: of several findings alike the first is the reason.
		if severity[f.outcome] > severity[r.outcome] {
			r.outcome, r.reason = f.outcome, f.reason
		}
	}
	return r
}

// checks lists the findings of one phase in several lanes: once if all lanes agree, with their numbers put together, otherwise lane
// by lane.
func checks(lanes []string, results []result, pooled []finding) []Check {
	type key struct {
		what string
		nth  int
	}
	index := func(findings []finding) (order []key, by map[key]finding) {
		by, seen := map[key]finding{}, map[string]int{}
		for _, f := range findings {
			k := key{f.what, seen[f.what]}
			seen[f.what]++
			by[k] = f
			order = append(order, k)
		}
		return order, by
	}
	var order []key
	inLane := make([]map[key]finding, len(results))
	for i, r := range results {
		var mine []key
		mine, inLane[i] = index(r.findings)
		for _, k := range mine {
			if !slices.Contains(order, k) {
				order = append(order, k)
			}
		}
	}
	_, together := index(pooled)
	list := []Check{}
	for _, k := range order {
		var own []Check
		good, alike := 0, true
		for i, lane := range lanes {
			f, there := inLane[i][k]
			if !there {
				continue
			}
			own = append(own, Check{What: f.what, Seen: f.seen, OK: f.ok, Lane: lane})
			alike = alike && own[0].OK == f.ok && own[0].Seen == f.seen
			if f.ok {
				good++
			}
		}
		all := together[k]
		switch {
		case good == len(lanes) && all.ok && all.what != "":
			list = append(list, Check{What: k.what, Seen: all.seen, OK: true})
		case alike && len(own) == len(lanes):
			list = append(list, Check{What: k.what, Seen: own[0].Seen, OK: own[0].OK})
		default:
			list = append(list, own...)
		}
	}
	return list
}

// inLane adds the lane to a reason, if there are several.
func inLane(reason, lane string, lanes int) string {
	if lanes < 2 || reason == "" {
		return reason
	}
	return fmt.Sprintf("%s (in %s)", reason, lane)
}
