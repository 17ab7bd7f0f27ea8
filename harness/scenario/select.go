package scenario

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
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
		// An unknown probe is kept: the judge reports that it is missing.
		known := slices.ContainsFunc(s.Probes, func(p Probe) bool { return p.ID == e.Probe })
		if !known || slices.ContainsFunc(probes, func(p Probe) bool { return p.ID == e.Probe }) {
			some = append(some, e)
		}
	}
	return some
}

// Objects are Kubernetes objects that exist at the same time, and the path of each in the file.
type Objects struct {
	JSON  [][]byte
	Paths []string
	// Needs are what a cluster must offer for these objects to be asked for.
	Needs []string
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
		objects := Objects{JSON: s.WorkloadOf(v), Needs: s.NeedsOf(v)}
		for k := range s.Workload {
			objects.Paths = append(objects.Paths, Index("workload", k))
		}
		for k := range v.Workload {
			objects.Paths = append(objects.Paths, Index(Join(Index("variants", i), "workload"), k))
		}
		all = append(all, objects)
	}
	Walk("", s, func(path string, value reflect.Value, f reflect.StructField) {
		if value.Type() == reflect.TypeFor[Raw]() && f.Tag.Get("ref") == "object" {
			all = append(all, Objects{JSON: [][]byte{value.Bytes()}, Paths: []string{path}, Needs: s.needsAt(path)})
		}
	})
	return all
}

// needsAt returns what all variants need for which the part of the file at a path is there.
func (s *Scenario) needsAt(path string) []string {
	within := func(list string, i int) bool { return strings.HasPrefix(path, Index(list, i)+".") }
	limitedTo := []string{}
	for i := range s.Variants {
		if within("variants", i) {
			limitedTo = []string{s.Variants[i].ID}
		}
	}
	for i := range s.Remedies {
		if within("remedies", i) {
			limitedTo = s.Remedies[i].Variants
		}
	}
	for i := range s.Controls {
		if within("controls", i) {
			limitedTo = s.Controls[i].Variants
		}
	}
	var needs []string
	first := true
	for i := range s.Variants {
		v := &s.Variants[i]
		if !Applies(limitedTo, v.ID) {
			continue
		}
		if first {
			needs, first = s.NeedsOf(v), false
		}
		needs = slices.DeleteFunc(needs, func(need string) bool { return !slices.Contains(s.NeedsOf(v), need) })
	}
	return needs
}

// Watch is a number that a scenario looks at.
type Watch struct{ Reader, On, Key string }

// Watched returns the numbers that are read at places, once each. What changes say of themselves is not among them, nor what only a
// detector looks at that is not asked, because the cluster does not offer what it needs. If offered is nil, everything is offered.
func (s *Scenario) Watched(offered func(need string) bool) []Watch {
	var watched []Watch
	Walk("", s, func(path string, value reflect.Value, _ reflect.StructField) {
		e, ok := value.Interface().(ReadingExpectation)
		for i, d := range s.Detection {
			missing := offered != nil && slices.ContainsFunc(d.Needs, func(need string) bool { return !offered(need) })
			ok = ok && !(missing && strings.HasPrefix(path, fmt.Sprintf("detection[%d].", i)))
		}
		if w := (Watch{e.Reader, e.On, e.Key}); ok && e.On != "" && !slices.Contains(watched, w) {
			watched = append(watched, w)
		}
	})
	return watched
}
