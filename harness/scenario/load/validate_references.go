package load

import (
	"reflect"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
)

// everywhere checks what is alike wherever it stands, settings of changes, probes and detectors included: names of other things,
// bounds on probes, and ranges.
func (v *validator) everywhere() {
	lists := map[string]names{
		"probe": v.probes, "pod": v.pods, "source": v.sources, "variant": v.variants, "detector": v.detectors, "claim": v.claims, "offer": v.offers,
		"need": {noun: "need", plural: "needs", list: v.offers.list},
	}
	scenario.Walk("", v.s, func(path string, value reflect.Value, f reflect.StructField) {
		v.bound(path, value)
		if value.Kind() != reflect.String || !v.r.has(path) {
			return
		}
		ref := f.Tag.Get("ref")
		if f.Name == "Needs" {
			ref = "need"
		}
		if list, ok := lists[ref]; ok {
			v.ref(path, value.String(), list)
		} else if ref == "place" {
			v.place(path, value.String())
		} else if _, place, _ := scenario.SplitAddress(value.String()); ref == "address" && place != "" {
			v.place(path, place)
		}
	})
}

// place checks that a place is well-formed and that what it names exists.
func (v *validator) place(path, text string) {
	if v.r.blocked(path) {
		return
	}
	p, err := scenario.ParsePlace(text)
	if err != nil {
		kind, name, _ := strings.Cut(text, "/")
		meant := scenario.Place{Kind: suggest.Meant(kind, scenario.PlaceKinds), Name: name}.String()
		if _, bad := scenario.ParsePlace(meant); bad == nil {
			v.r.addAt(path, "%q is not a place: did you mean %q?", text, meant)
			return
		}
		v.r.addAt(path, "%s", err)
	}
	switch p.Kind {
	case "pod", "node-of":
		if offer := systemPods[p.Name]; offer != "" && !slices.Contains(v.pods.list, p.Name) {
			v.needed(path, p, offer)
			return
		}
		v.ref(path, p.Name, v.pods)
	case "node":
		v.node(path, p.Name)
	}
}

// systemPods are the cluster's own pods that can be places, by what a cluster must offer for that.
var systemPods = map[string]string{"coredns": "coredns-pods"}

// needed checks that a place which not every cluster has is named only where it is needed: by the scenario, the variant or the detector.
func (v *validator) needed(path string, p scenario.Place, offer string) {
	needs := slices.Clone(v.s.Needs)
	for i, variant := range v.s.Variants {
		if strings.HasPrefix(path, index("variants", i)+".") {
			needs = append(needs, variant.Needs...)
		}
	}
	for i, detector := range v.s.Detection {
		if strings.HasPrefix(path, index("detection", i)+".") {
			needs = append(needs, detector.Needs...)
		}
	}
	if !slices.Contains(needs, offer) && !v.r.broken("needs") {
		v.r.addAt(path, "not every cluster has the place %s: add %s to needs", p, offer)
	}
}

// readingsIn checks the readings in the settings of a change, probe or detector, and those that settings are.
func (v *validator) readingsIn(path string, config any, steps names) {
	if v.r.blocked(path) {
		return
	}
	scenario.Walk(path, config, func(path string, value reflect.Value, _ reflect.StructField) {
		if e, ok := value.Interface().(scenario.ReadingExpectation); ok {
			v.reading(path, e, steps)
		}
	})
}

// readings checks a list; steps are the changes that are made when they are read.
func (v *validator) readings(path string, list []scenario.ReadingExpectation, steps names) {
	for i, e := range list {
		v.reading(index(path, i), e, steps)
	}
}

func (v *validator) reading(path string, e scenario.ReadingExpectation, steps names) {
	v.reader(path, e, steps)
	bounds := []string{"value", "rise", "risePerAttempt"}
	given := slices.DeleteFunc(bounds, func(bound string) bool { return !v.r.has(join(path, bound)) })
	switch len(given) {
	case 0:
		v.r.addAt(path, "a bound is missing: give exactly one of value, rise, risePerAttempt")
	case 1:
		v.canFail(join(path, given[0]), e)
	default:
		v.r.addAt(path, "%s bounds (%s): give exactly one", inWords(len(given)), strings.Join(given, ", "))
	}
}

// reader checks who reads, where, and the name of the number.
func (v *validator) reader(path string, e scenario.ReadingExpectation, steps names) {
	at, on, key := join(path, "reader"), join(path, "on"), join(path, "key")
	if v.r.blocked(at) {
		return
	}
	if id, ok := e.Change(); ok {
		if strings.HasPrefix(path, "detection[") {
			v.r.addAt(at, "a detector sees what a person could see: a change's own numbers are for proofs")
			return
		}
		if v.ref(at, id, steps) {
			v.key(key, e)
		}
		if v.r.has(on) {
			v.r.addAt(on, "a change is read where it was made: leave on out")
		}
		return
	}
	reader, argument, known := v.readerOf(e)
	if !known {
		v.ref(at, e.Reader, v.readers)
		return
	}
	if !v.r.has(on) {
		v.r.addAt(on, "required field is missing: the place where %s is read", e.Reader)
	}
	if reader.Keys != nil {
		v.key(key, e)
	} else {
		v.named(path, e, reader)
	}
	if reader.Argument == "" {
		return
	}
	if reader.CheckArgument == nil {
		v.ref(at, argument, v.pods)
	} else if err := reader.CheckArgument(argument); err != nil {
		v.r.addAt(at, "%s", err)
	}
	if p, err := scenario.ParsePlace(e.On); err == nil && !slices.Contains([]string{"nodes", "node", "node-of", "pod"}, p.Kind) && v.r.has(on) {
		v.r.addAt(on, "%s is read on nodes and in pods only", e.Reader)
	}
}
