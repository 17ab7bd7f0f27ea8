package judge

import (
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// branch is what a lane does between the fault and the end: try one remedy or one control, or nothing.
type branch struct {
	id      string
	remedy  *scenario.Remedy
	control *scenario.Control
}

// branches returns the lanes of a variant in the scenario's order.
func branches(s *scenario.Scenario, v *scenario.Variant, repaired bool) []branch {
	var all []branch
	if !repaired {
		for i := range s.Remedies {
			if r := &s.Remedies[i]; scenario.Applies(r.Variants, v.ID) {
				all = append(all, branch{id: r.ID, remedy: r})
			}
		}
		for i := range s.Controls {
			if c := &s.Controls[i]; scenario.Applies(c.Variants, v.ID) {
				all = append(all, branch{id: c.ID, control: c})
			}
		}
	}
	if len(all) == 0 {
		return []branch{{id: "main"}}
	}
	return all
}

// phases returns the phases that a lane goes through, in their order.
func (b branch) phases() []scenario.Phase {
	phases := []scenario.Phase{{Kind: "baseline"}, {Kind: "fault"}}
	switch {
	case b.remedy != nil:
		phases = append(phases, scenario.Phase{Kind: "remedy", ID: b.id}, scenario.Phase{Kind: "relapse", ID: b.id})
	case b.control != nil:
		phases = append(phases, scenario.Phase{Kind: "control", ID: b.id})
	}
	return append(phases, scenario.Phase{Kind: "restored"})
}

// phasesOf returns the phases of several lanes, each once, in the order in which they are reported.
func phasesOf(lanes []branch) []scenario.Phase {
	all := []scenario.Phase{{Kind: "baseline"}, {Kind: "fault"}}
	for _, b := range lanes {
		inner := b.phases()
		all = append(all, inner[2:len(inner)-1]...)
	}
	return append(all, scenario.Phase{Kind: "restored"})
}

// repairedHere reports whether the failure is not expected to happen on the run's cluster.
func repairedHere(v *scenario.Variant, run rundir.Run) bool {
	return v.RepairedBy != "" && run.Offers[v.RepairedBy].OK
}

// when says in which phase something was seen, as the end of a sentence.
func when(p scenario.Phase) string {
	switch p.Kind {
	case "baseline":
		return "before the fault"
	case "fault":
		return "under the fault"
	case "remedy":
		return "with remedy " + p.ID + " on"
	case "relapse":
		return "after remedy " + p.ID + " was withdrawn"
	case "control":
		return "in control " + p.ID
	}
	return "after the fault was undone"
}
