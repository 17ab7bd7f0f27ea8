package judge

import (
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// offeredBy says what the run's cluster gave.
func offeredBy(run rundir.Run) func(need string) bool {
	return func(need string) bool { return run.Offers[need].OK }
}

// when says in which phase something was seen, as the end of a sentence.
func when(p plan.Phase) string {
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
