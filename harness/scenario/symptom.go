package scenario

import (
	"strings"
)

// String says when an attempt shows the symptom, as a verb: "failed and took 1s to 2s".
func (c AttemptCriterion) String() string {
	var parts []string
	if c.Failed != nil {
		parts = append(parts, map[bool]string{true: "failed", false: "succeeded"}[*c.Failed])
	}
	if c.Took != nil {
		parts = append(parts, "took "+c.Took.String())
	}
	if len(parts) == 0 {
		return "was made"
	}
	return strings.Join(parts, " and ")
}
