package scenario

import (
	"slices"
	"strings"
)

// Readers of a place.
const (
	// ReaderConntrack reads the counters of connection tracking.
	ReaderConntrack = "conntrack"
	// ReaderSNMP reads the kernel's protocol counters, such as TcpOutRsts.
	ReaderSNMP = "snmp"
	// ReaderPolicy reads what network policies do on a node: isolated (pods and directions), and the packets that they have
	// dropped, egress and ingress.
	ReaderPolicy = "policy"
	// ReaderServices reads a node's UDP Services in kube-proxy's rules and its conntrack table: refused (addresses that the rules
	// refuse, as the Service has no endpoints), stale (entries of flows to those) and stale-unreplied (without an answer until now).
	ReaderServices = "services"
)

// ChangeReader returns the step's id where a reader is change/ID: what a change says of itself.
func ChangeReader(reader string) (id string, ok bool) {
	id, ok = strings.CutPrefix(reader, "change/")
	return id, ok && validName(id)
}

// readings checks a list; steps are the changes that are on when they are read.
func (v *validator) readings(path string, list []ReadingExpectation, steps names) {
	for i, e := range list {
		v.reading(index(path, i), e, steps)
	}
}

func (v *validator) reading(path string, e ReadingExpectation, steps names) {
	v.reader(path, e, steps)
	var given []string
	for _, bound := range []string{"value", "rise", "risePerAttempt"} {
		if v.r.has(join(path, bound)) {
			given = append(given, bound)
		}
	}
	switch len(given) {
	case 0:
		v.r.addAt(path, "no bound: give exactly one of value, rise, risePerAttempt")
	case 1:
	default:
		v.r.addAt(path, "%s bounds (%s): give exactly one", inWords(len(given)), strings.Join(given, ", "))
	}
}

func (v *validator) reader(path string, e ReadingExpectation, steps names) {
	reader, on := join(path, "reader"), join(path, "on")
	if v.r.blocked(reader) {
		return
	}
	if slices.Contains([]string{ReaderConntrack, ReaderSNMP, ReaderPolicy, ReaderServices}, e.Reader) {
		if !v.r.has(on) {
			v.r.addAt(path, "say on which place %s is read: on is missing", e.Reader)
		} else {
			v.place(on, e.On)
		}
		return
	}
	id, ok := ChangeReader(e.Reader)
	if !ok {
		v.r.addAt(reader, "%q is not a reader: write conntrack, snmp, policy, services or change/ID", e.Reader)
		return
	}
	v.ref(reader, id, steps)
	if v.r.has(on) {
		v.r.addAt(on, "a change is read where it was made: leave on out")
	}
}

// steps checks a list of changes; others are steps that are made beside them. It returns the ids of them all.
func (v *validator) steps(path string, steps []Step, others names) names {
	all := names{noun: "step", plural: "steps that are on then", unsure: others.unsure || v.r.blocked(path), list: slices.Clone(others.list)}
	for i, step := range steps {
		at := index(path, i)
		v.place(join(at, "on"), step.On)
		id := stepID(step)
		switch {
		case id == "" || v.r.blocked(join(at, "id")):
			all.unsure = true
		case step.ID != "" && !validName(id):
			v.r.addAt(join(at, "id"), "%q is not a name: use lower case letters, digits and dashes inside", id)
		case slices.Contains(all.list, id):
			v.r.addAt(join(at, "id"), "another step is called %q: give this one an id of its own", id)
		}
		if id != "" {
			all.list = append(all.list, id)
		}
	}
	for i, step := range steps { // their configs may look at each other's readings
		v.config(join(index(path, i), step.Use.Name), step.Use.Config, &all)
	}
	return all
}

// stepID is the id that a step has, given or not.
func stepID(s Step) string {
	if s.ID != "" {
		return s.ID
	}
	return s.Use.Name
}

// faultSteps are the steps that are on in the faults of all these variants.
func (v *validator) faultSteps(variants []int) names {
	all := names{noun: "step", plural: "steps that are on then"}
	for n, i := range variants {
		var ids []string
		fault := v.s.Variants[i].Fault
		all.unsure = all.unsure || v.r.blocked(index("variants", i)+".fault.changes")
		for _, step := range fault.Changes {
			if id := stepID(step); id != "" {
				ids = append(ids, id)
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
