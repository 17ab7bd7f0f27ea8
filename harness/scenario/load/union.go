package load

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
)

// union is a struct that has, beside its own fields, exactly one more, whose name is an entry of a catalogue.
type union struct {
	entries map[string]func() any
	// noun, plural and rule are the words of its errors.
	noun, plural, rule string
}

func unionOf(t reflect.Type, cat scenario.Catalogues) *union {
	switch t {
	case reflect.TypeFor[scenario.Step]():
		return &union{cat.Changes, "change", "changes", "a step makes one"}
	case reflect.TypeFor[scenario.Probe]():
		return &union{cat.Probes, "probe", "probes", "a probe is of one kind"}
	case reflect.TypeFor[scenario.Detector]():
		return &union{cat.Detectors, "detector", "detectors", "a detector is of one kind"}
	}
	return nil
}

// union reads the keys beside the known fields: there must be one, and it must be in the catalogue.
func (d *decoder) union(n *yaml.Node, path string, v reflect.Value, u *union, others []pair) bool {
	fields, entries := sortedKeys(fieldsOf(v.Type())), sortedKeys(u.entries)
	var named, unknown []pair
	for _, other := range others {
		if u.entries[other.key.Value] != nil {
			named = append(named, other)
		} else {
			unknown = append(unknown, other)
		}
	}
	ok, excused := true, false
	for _, other := range unknown {
		ok = false
		key := other.key.Value
		if len(named) > 0 || closerTo(key, fields, entries) {
			d.unknownField(other.key, path, fields)
			continue
		}
		excused = true
		d.r.add(where(other.key), path, "unknown %s %q%s", u.noun, key, suggest.Hint(key, u.plural, entries))
	}
	var names []string
	for _, one := range named {
		names = append(names, one.key.Value)
		at, config := join(path, one.key.Value), u.entries[one.key.Value]()
		fine := d.value(one.value, at, reflect.ValueOf(config).Elem())
		if fine {
			d.validateConfig(at, config)
		}
		ok = ok && fine
		v.FieldByName("Use").Set(reflect.ValueOf(scenario.Use{Name: one.key.Value, Config: config}))
	}
	switch {
	case len(named) == 0 && !excused:
		d.r.add(where(n), path, "a %s is missing: give exactly one of %s", u.noun, strings.Join(entries, ", "))
	case len(named) > 1:
		d.r.add(where(named[1].key), path, "%s %s are given (%s): %s", inWords(len(named)), u.plural, strings.Join(names, ", "), u.rule)
		v.FieldByName("Use").SetZero()
	}
	if step, is := v.Addr().Interface().(*scenario.Step); is && step.ID == "" {
		step.ID = step.Use.Name
	}
	return ok && len(named) == 1
}

// validateConfig asks the settings themselves.
func (d *decoder) validateConfig(path string, config any) {
	if c, ok := config.(interface{ Validate() error }); ok {
		if err := c.Validate(); err != nil {
			d.r.addAt(path, "%s", err)
		}
	}
}

// closerTo reports whether a mistyped key was rather meant to be one of fields than one of entries.
func closerTo(key string, fields, entries []string) bool {
	meant := suggest.Meant(key, slices.Concat(fields, entries))
	return meant != "" && slices.Contains(fields, meant)
}

func inWords(n int) string {
	if words := []string{"no", "one", "two", "three", "four", "five"}; n < len(words) {
		return words[n]
	}
	return "many"
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }
