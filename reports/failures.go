package reports

import (
	"cmp"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// unmet is a check that was not as expected, in one lane or in several.
type unmet struct {
	judge.Check
	more int
}

func (u unmet) String() string {
	text := strings.TrimPrefix(u.Lane+": "+u.What+": "+u.Seen, ": ")
	if u.more > 0 {
		text += " (and alike " + times(u.more) + ")"
	}
	return text
}

// unmet lists the checks of a phase that were not as expected, but for those that only repeat an error of the run. It says how many those
// are.
func (d Data) unmet(p judge.Phase) (list []unmet, repeated int) {
	lanes, troubles := d.laneNames(), d.troubles()
	for _, c := range p.Checks {
		seen := Cause(c.Seen, lanes)
		alike := func(u unmet) bool {
			return Cause(u.What, lanes) == Cause(c.What, lanes) && Cause(u.Seen, lanes) == seen
		}
		switch i := slices.IndexFunc(list, alike); {
		case c.OK:
		case slices.ContainsFunc(troubles, func(t trouble) bool { return strings.Contains(seen, t.cause) }):
			repeated++
		case i >= 0:
			list[i].more++
		default:
			list = append(list, unmet{Check: c})
		}
	}
	return list, repeated
}

// untested says why a claim was not tested, unless an error of the run says so.
func (d Data) untested(c judge.Claim) string {
	seen := Cause(c.Seen, d.laneNames())
	if cmp.Or(c.Result, judge.Untested) != judge.Untested || slices.ContainsFunc(d.troubles(), func(t trouble) bool { return strings.Contains(seen, t.cause) }) {
		return ""
	}
	return c.Seen
}

// failures lists the checks that did not hold.
func (d Data) failures(v variant) []failure {
	var list []failure
	for _, p := range v.Verdict.Phases {
		found, _ := d.unmet(p)
		for _, u := range found {
			where := v.Name + ", " + p.Name
			if u.Lane != "" {
				where = u.Lane + ", " + p.Name
			}
			if u.more > 0 {
				where += " (and alike " + times(u.more) + ")"
			}
			list = append(list, failure{where, u.What + ", seen", u.Seen})
		}
	}
	return list
}
