package scenario

import (
	"reflect"
	"slices"
)

// Applies reports whether something that is limited to variants is for this one; an empty limit means all.
func Applies(limitedTo []string, variant string) bool {
	return len(limitedTo) == 0 || slices.Contains(limitedTo, variant)
}

// ProbesOf returns the probes of a variant.
func (s *Scenario) ProbesOf(variant string) []Probe {
	var probes []Probe
	for _, p := range s.Probes {
		if Applies(p.Variants, variant) {
			probes = append(probes, p)
		}
	}
	return probes
}

// HealthyOf returns those expectations whose probes the variant has.
func (s *Scenario) HealthyOf(variant string, expectations []ProbeExpectation) []ProbeExpectation {
	probes := s.ProbesOf(variant)
	var some []ProbeExpectation
	for _, e := range expectations {
		// A probe that nobody knows stays: it is for the judge to miss it.
		known := slices.ContainsFunc(s.Probes, func(p Probe) bool { return p.ID == e.Probe })
		if !known || slices.ContainsFunc(probes, func(p Probe) bool { return p.ID == e.Probe }) {
			some = append(some, e)
		}
	}
	return some
}

// Objects are Kubernetes objects that are there together, and where each stands in the file.
type Objects struct {
	JSON  [][]byte
	Paths []string
}

// NeedsOf returns what a variant needs of a cluster.
func (s *Scenario) NeedsOf(v *Variant) []string { return slices.Concat(s.Needs, v.Needs) }

// WorkloadOf returns the objects that a cluster is made with for a variant.
func (s *Scenario) WorkloadOf(v *Variant) [][]byte {
	var objects [][]byte
	for _, object := range slices.Concat(s.Workload, v.Workload) {
		objects = append(objects, object)
	}
	return objects
}

// Objects returns what clusters are made with, once for each variant, and each object that a change applies.
func (s *Scenario) Objects() []Objects {
	var all []Objects
	for i := range s.Variants {
		v := &s.Variants[i]
		objects := Objects{JSON: s.WorkloadOf(v)}
		for k := range s.Workload {
			objects.Paths = append(objects.Paths, index("workload", k))
		}
		for k := range v.Workload {
			objects.Paths = append(objects.Paths, index(join(index("variants", i), "workload"), k))
		}
		all = append(all, objects)
	}
	(&validator{}).walk("", reflect.ValueOf(s), func(path string, value reflect.Value, f reflect.StructField) {
		if value.Type() == rawType && f.Tag.Get("ref") == "object" {
			all = append(all, Objects{JSON: [][]byte{value.Bytes()}, Paths: []string{path}})
		}
	})
	return all
}

// Watch is a number that a scenario looks at.
type Watch struct{ Reader, On, Key string }

// Watched returns the numbers that are read at places, once each: those of expectations, and of the settings of detectors that
// have the same fields. What changes say of themselves is not among them.
func (s *Scenario) Watched() []Watch {
	var watched []Watch
	(&validator{}).walk("", reflect.ValueOf(s), func(_ string, value reflect.Value, _ reflect.StructField) {
		if value.Kind() != reflect.Struct {
			return
		}
		field := func(name string) string {
			if f := value.FieldByName(name); f.IsValid() && f.Kind() == reflect.String {
				return f.String()
			}
			return ""
		}
		w := Watch{field("Reader"), field("On"), field("Key")}
		if w.Reader != "" && w.On != "" && w.Key != "" && !slices.Contains(watched, w) {
			watched = append(watched, w)
		}
	})
	return watched
}
