package scenario

import (
	"fmt"
	"strings"
)

// Phase is a part of a run.
type Phase struct {
	// Kind is baseline, fault, remedy, relapse, control or restored.
	Kind string
	// ID of the remedy (also for relapse) or control.
	ID string
}

func (p Phase) String() string {
	if p.ID == "" {
		return p.Kind
	}
	return p.Kind + "/" + p.ID
}

// ParsePhase reads baseline, fault, remedy/ID, relapse/ID, control/ID or restored.
func ParsePhase(text string) (Phase, error) {
	kind, id, named := strings.Cut(text, "/")
	switch kind {
	case "baseline", "fault", "restored":
		if !named {
			return Phase{Kind: kind}, nil
		}
	case "remedy", "relapse", "control":
		if ValidName(id) {
			return Phase{Kind: kind, ID: id}, nil
		}
	}
	return Phase{}, fmt.Errorf("%q is not a phase: write baseline, fault, remedy/ID, relapse/ID, control/ID or restored", text)
}

// Phases lists the names of all phases that some variant of the scenario goes through, in their order.
func (s *Scenario) Phases() []string {
	names := []string{"baseline", "fault"}
	for _, r := range s.Remedies {
		names = append(names, "remedy/"+r.ID, "relapse/"+r.ID)
	}
	for _, c := range s.Controls {
		names = append(names, "control/"+c.ID)
	}
	return append(names, "restored")
}
