package scenario

import "time"

// fillDefaults writes in what a file may leave out, so that nobody else needs to know.
func fillDefaults(s *Scenario) {
	if s.Topology.PodNetwork == "" {
		s.Topology.PodNetwork = "routes"
	}
	for i := range s.Probes {
		p := &s.Probes[i]
		if p.Attempts == 0 {
			p.Attempts = 20
		}
		if p.Every == 0 {
			p.Every = Duration(20 * time.Millisecond)
		}
		if p.Timeout == 0 {
			p.Timeout = Duration(10 * time.Second)
		}
	}
	for i := range s.Variants {
		v := &s.Variants[i]
		if v.Symptom.Share == nil {
			all := Percent(1)
			v.Symptom.Share = &PercentRange{Min: &all}
		}
		nameSteps(v.Fault.Changes)
	}
	for i := range s.Remedies {
		nameSteps(s.Remedies[i].Changes)
	}
	for i := range s.Controls {
		nameSteps(s.Controls[i].With)
		nameSteps(s.Controls[i].Instead)
	}
}

func nameSteps(steps []Step) {
	for i := range steps {
		steps[i].ID = stepID(steps[i])
	}
}
