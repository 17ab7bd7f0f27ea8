package load

import (
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// steps checks a list of changes; others are steps that are made beside them. It returns the ids of them all.
func (v *validator) steps(path string, steps []scenario.Step, others names) names {
	all := names{noun: "step", plural: "steps that are on then", unsure: others.unsure || v.r.blocked(path), list: slices.Clone(others.list)}
	for i, step := range steps {
		at, id := index(path, i), step.ID
		switch {
		case id == "" || v.r.blocked(join(at, "id")):
			all.unsure = true
		case !scenario.ValidName(id):
			v.notName(join(at, "id"), id)
		case slices.Contains(all.list, id):
			v.r.addAt(join(at, "id"), "another step is called %q: give this one an id of its own", id)
		}
		if id != "" {
			all.list = append(all.list, id)
		}
		if last := v.lastAttempt(); step.After > 0 && step.After >= last {
			v.r.addAt(join(at, "after"), "no attempt begins that late: the last ones begin after %s", last)
		}
	}
	for i, step := range steps { // their settings may name each other's readings
		v.readingsIn(join(index(path, i), step.Use.Name), step.Use.Config, all)
	}
	return all
}

// lastAttempt is how long after the first attempt of a phase the last one of any probe begins.
func (v *validator) lastAttempt() (last units.Duration) {
	for _, p := range v.s.Probes {
		last = max(last, units.Duration(p.Attempts-1)*p.Every)
	}
	return last
}

// madeBefore leaves out the steps that are made while samples are taken: nobody can wait for them before.
func madeBefore(all names, steps []scenario.Step) names {
	all.list = slices.DeleteFunc(slices.Clone(all.list), func(id string) bool {
		return slices.ContainsFunc(steps, func(s scenario.Step) bool { return s.ID == id && s.After > 0 })
	})
	return all
}

// faultSteps are the steps that are on in the faults of all these variants.
func (v *validator) faultSteps(variants []int) names {
	all := names{noun: "step", plural: "steps that are on then"}
	for n, i := range variants {
		var ids []string
		fault := v.s.Variants[i].Fault
		all.unsure = all.unsure || v.r.blocked(index("variants", i)+".fault.changes")
		for _, step := range fault.Changes {
			if step.ID != "" {
				ids = append(ids, step.ID)
			} else {
				all.unsure = true
			}
		}
		if n == 0 {
			all.list = ids
		} else {
			all.list = slices.DeleteFunc(all.list, func(id string) bool { return !slices.Contains(ids, id) })
		}
	}
	return all
}

// takenSteps are the steps of any of the variants' faults: a step made beside them must be called something else.
func (v *validator) takenSteps(variants []int) names {
	all := names{}
	for _, i := range variants {
		all.list = append(all.list, v.faultSteps([]int{i}).list...)
	}
	return all
}
