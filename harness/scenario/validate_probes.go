package scenario

func (v *validator) probeList() {
	v.atLeastOne("probes", len(v.s.Probes), "without a probe nothing is noticed: give at least one")
	v.atLeastOne("healthy", len(v.s.Healthy), "say what the probes show where nothing is wrong: give at least one expectation")
	for i, probe := range v.s.Probes {
		path := index("probes", i)
		from := join(path, "from")
		if place, ok := v.place(from, probe.From); ok && place.Kind != "pod" {
			v.r.addAt(from, "a probe is made from pod/NAME, found %s", place)
		}
		if v.r.has(join(path, "every")) && probe.Every == 0 {
			v.r.addAt(join(path, "every"), "must be more than 0s")
		}
		if v.r.has(join(path, "timeout")) && probe.Timeout == 0 {
			v.r.addAt(join(path, "timeout"), "must be more than 0s")
		}
		v.variantsOf(path, probe.Variants)
		v.config(join(path, probe.Use.Name), probe.Use.Config, nil)
	}
	v.expectations("healthy", v.s.Healthy)
}

func (v *validator) expectations(path string, list []ProbeExpectation) {
	for i, e := range list {
		v.expectation(index(path, i), e)
	}
}

func (v *validator) expectation(path string, e ProbeExpectation) {
	if probe := join(path, "probe"); !v.r.blocked(probe) {
		v.ref(probe, e.Probe, v.probes)
	}
	for _, bound := range []string{"count", "failed", "fastest", "p50", "p99", "slowest"} {
		if v.r.has(join(path, bound)) {
			return
		}
	}
	v.r.addAt(path, "an expectation without a bound holds for anything: give at least one of count, failed, fastest, p50, p99, slowest")
}
