package agree

import (
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// alike wants two runs of one scenario whose variants have the same phases.
func (c *comparison) alike() error {
	one, other := c.sides[0].Scenario, c.sides[1].Scenario
	if one.Metadata.ID != other.Metadata.ID {
		return fmt.Errorf("%s is a run of %s, and %s one of %s: only runs of one scenario can be compared",
			c.sides[0].Folder, one.Metadata.ID, c.sides[1].Folder, other.Metadata.ID)
	}
	phases := [2][]string{allPhases(one), allPhases(other)}
	for i, list := range phases {
		for _, phase := range list {
			if !slices.Contains(phases[1-i], phase) {
				return fmt.Errorf("they ran different versions of %s, which cannot be compared: %s is in %s and not in %s",
					one.Metadata.ID, phase, c.sides[i].Folder, c.sides[1-i].Folder)
			}
		}
	}
	return nil
}

// allPhases lists the phases of all variants where nothing is repaired.
func allPhases(s *scenario.Scenario) []string {
	var all []string
	for i := range s.Variants {
		for _, p := range phasesOf(s, s.Variants[i].ID, false) {
			all = append(all, scenario.Subject{Variant: s.Variants[i].ID, Phase: p}.String())
		}
	}
	return all
}

func phasesOf(s *scenario.Scenario, variant string, repaired bool) []string {
	var names []string
	for _, p := range plan.Phases(plan.Lanes(s, variantOf(s, variant), repaired)) {
		names = append(names, p.String())
	}
	return names
}

// variantOf finds a variant, which is there: the two sides have the same.
func variantOf(s *scenario.Scenario, id string) *scenario.Variant {
	return &s.Variants[slices.IndexFunc(s.Variants, func(v scenario.Variant) bool { return v.ID == id })]
}
