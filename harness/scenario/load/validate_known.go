package load

import (
	"reflect"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
)

// keysOf returns the numbers that a reader or a change has. It is false if they are not known: of a change that could not be read,
// or that stands for any other, such as nothing.
func (v *validator) keysOf(e scenario.ReadingExpectation) (units.Keys, bool) {
	id, ok := e.Change()
	if !ok {
		reader, _, known := v.readerOf(e)
		if known && reader.Key != nil {
			key, err := reader.Key(e.Key)
			return units.Keys{e.Key: key}, err == nil
		}
		return reader.Keys, known && reader.Keys != nil
	}
	all := units.Keys{}
	for _, step := range v.allSteps() {
		if step.ID != id {
			continue
		}
		change, ok := step.Use.Config.(scenario.Reporter)
		if !ok {
			return nil, false
		}
		for name, key := range change.Keys() {
			all[name] = key
		}
	}
	return all.And(units.Applied, units.AppliedKey), len(all) > 0
}

// readerOf returns the reader of a place that a reading names, and its argument.
func (v *validator) readerOf(e scenario.ReadingExpectation) (reader scenario.Reader, argument string, known bool) {
	name, argument, slash := strings.Cut(e.Reader, "/")
	reader, known = v.cat.Readers[name]
	return reader, argument, known && slash == (reader.Argument != "")
}

// named checks a reading whose number the file names itself, so that nothing else tells a misspelt one, which is 0 for ever.
func (v *validator) named(path string, e scenario.ReadingExpectation, reader scenario.Reader) {
	if _, err := reader.Key(e.Key); err != nil {
		v.r.addAt(join(path, "key"), "%s", err)
		return
	}
	shown := false
	scenario.Walk("", v.s, func(at string, value reflect.Value, _ reflect.StructField) {
		other, ok := value.Interface().(scenario.ReadingExpectation)
		shown = shown || ok && other.Reader == e.Reader && other.Key == e.Key && !contains(other, 0) && !v.silent(at)
	})
	if !shown {
		v.r.addAt(join(path, "key"), "nothing would tell that %q is misspelt: expect it above 0 somewhere", e.Key)
	}
}

// silent reports whether a path is in a detector that is expected to be silent.
func (v *validator) silent(path string) bool {
	for i, d := range v.s.Detection {
		if strings.HasPrefix(path, index("detection", i)+".") {
			return d.Expect == scenario.ExpectSilent
		}
	}
	return false
}

// allSteps are the changes of all variants, remedies and controls.
func (v *validator) allSteps() []scenario.Step {
	var all []scenario.Step
	for _, variant := range v.s.Variants {
		all = append(all, variant.Fault.Changes...)
	}
	for _, remedy := range v.s.Remedies {
		all = append(all, remedy.Changes...)
	}
	for _, control := range v.s.Controls {
		all = slices.Concat(all, control.With, control.Instead)
	}
	return all
}

// key checks the name of a number. A number that only this kernel lacks is known.
func (v *validator) key(path string, e scenario.ReadingExpectation) {
	keys, ok := v.keysOf(e)
	if _, change := e.Change(); change && e.Key == units.Applied && keys[e.Key] == units.AppliedKey && strings.Contains(path, ".proof[") {
		v.r.addAt(path, "%s says that a change was made, not that it has an effect: name another number of it", e.Key)
		return
	}
	if _, known := keys[e.Key]; !ok || known || e.Key == "" {
		return
	}
	names := sortedKeys(keys)
	hint := suggest.Hint(e.Key, "numbers", names)
	if len(names) > 30 && suggest.Meant(e.Key, names) == "" {
		hint = ": relapse explain reader " + e.Reader + " lists all " + e.Reader + " has"
	}
	v.r.addAt(path, "unknown number %q of %s%s", e.Key, e.Reader, hint)
}

// logLine checks the line that a detector looks for in a log.
func (v *validator) logLine(path string, config any) {
	d, ok := config.(scenario.LogReader)
	if !ok || v.r.blocked(path) {
		return
	}
	source, event, fields := d.Log()
	events := v.cat.Logs[source]
	if v.r.has(join(path, "source")) && !v.ref(join(path, "source"), source, names{noun: "source", plural: "sources", list: sortedKeys(v.cat.Logs)}) {
		return
	}
	if !v.ref(join(path, "event"), event, names{noun: "event", plural: "events of " + source, list: sortedKeys(events)}) {
		return
	}
	known := true
	for _, name := range sortedKeys(fields) {
		known = v.ref(join(join(path, "fields"), name), name, names{noun: "field", plural: "fields of " + event, list: events[event].Fields}) && known
	}
	if known && logOffers[source] == "" && !slices.Contains(v.images, source) && !v.r.broken("workload") {
		v.r.addAt(path, "no pod has the image %s, so nobody writes its log", source)
	}
}

// logOffers are what a cluster must offer for a log to be written, by its source. The others are those of programs in pods.
var logOffers = map[string]string{"coredns": "coredns-pods", "kernel": "kernel-log", "kubernetes": "kubernetes", "policy": "policy-log"}

// heard checks that a detector which reads a log needs that somebody writes it: where nobody does, it would be silent for that reason.
func (v *validator) heard(path string, detector scenario.Detector) {
	d, ok := detector.Use.Config.(scenario.LogReader)
	if !ok {
		return
	}
	source, _, _ := d.Log()
	offer := logOffers[source]
	needs := slices.Concat(v.s.Needs, detector.Needs)
	if offer == "" || slices.Contains(needs, offer) || v.r.broken("needs") || v.r.broken(join(path, "needs")) {
		return
	}
	v.r.addAt(path, "where %s is not offered, nobody writes the log of %s: add it to needs", offer, source)
}

// command checks a command whose output is kept.
func (v *validator) command(path string, argv []string) {
	v.atLeastOne(path, len(argv), "give the program and its arguments")
	if len(argv) == 0 || v.cat.CheckCommand == nil || v.r.broken(path) {
		return
	}
	if err := v.cat.CheckCommand(argv); err != nil {
		v.r.addAt(path, "%s", err)
	}
}
