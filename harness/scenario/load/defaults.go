package load

import (
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// setDefaults fills in what a file may leave out, before the file's own values are read over it. It has the
// defaults of the scenario's own types; the id of a step is set where its change is known (union), and changes have defaults of their own.
func setDefaults(target any) {
	switch t := target.(type) {
	case *scenario.Topology:
		t.PodNetwork = "routes"
	case *scenario.Probe:
		t.Attempts, t.Every, t.Timeout = 20, units.Duration(20*time.Millisecond), units.Duration(10*time.Second)
	case *scenario.Symptom:
		all := units.Percent(1)
		t.Share = &units.PercentRange{Min: &all}
	}
}
