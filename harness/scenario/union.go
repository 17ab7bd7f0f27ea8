package scenario

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// union is a struct that has, beside its own fields, exactly one more, whose name is an entry of a catalogue.
type union struct {
	entries map[string]func() any
	// noun, plural and rule are the words of its errors.
	noun, plural, rule string
}

func unionOf(t reflect.Type, cat Catalogues) *union {
	switch t {
	case reflect.TypeFor[Step]():
		return &union{cat.Changes, "change", "changes", "a step makes one"}
	case reflect.TypeFor[Probe]():
		return &union{cat.Probes, "kind of probe", "kinds of probe", "a probe is of one kind"}
	case reflect.TypeFor[Detector]():
		return &union{cat.Detectors, "kind of detector", "kinds of detector", "a detector is of one kind"}
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
		d.r.add(where(other.key), path, "unknown %s %q%s", u.noun, key, hint(key, u.plural, entries))
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
		v.FieldByName("Use").Set(reflect.ValueOf(Use{one.key.Value, config}))
	}
	switch {
	case len(named) == 0 && !excused:
		d.r.add(where(n), path, "no %s named: give exactly one of %s", u.noun, strings.Join(entries, ", "))
	case len(named) > 1:
		d.r.add(where(named[1].key), path, "%s %s named (%s): %s", inWords(len(named)), u.plural, strings.Join(names, ", "), u.rule)
		v.FieldByName("Use").SetZero()
	}
	return ok && len(named) == 1
}

// validateConfig asks the config itself.
func (d *decoder) validateConfig(path string, config any) {
	switch c := config.(type) {
	case interface{ Validate() error }:
		if err := c.Validate(); err != nil {
			d.r.fromConfig(path, err)
		}
	case interface{ Validate() []error }:
		for _, err := range c.Validate() {
			d.r.fromConfig(path, err)
		}
	}
}

// closerTo reports whether a mistyped key was rather meant to be one of fields than one of entries.
func closerTo(key string, fields, entries []string) bool {
	meant := didYouMean(key, slices.Concat(fields, entries))
	return meant != "" && slices.Contains(fields, meant)
}

func inWords(n int) string {
	if words := []string{"no", "one", "two", "three", "four", "five"}; n < len(words) {
		return words[n]
	}
	return "many"
}

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// MarshalJSON writes the step as in the file: the change's name is a key beside the step's fields.
func (s Step) MarshalJSON() ([]byte, error) {
	type fields Step
	return inline(fields(s), s.Use)
}

// MarshalJSON writes the probe as in the file: its kind is a key beside the probe's fields.
func (p Probe) MarshalJSON() ([]byte, error) {
	type fields Probe
	return inline(fields(p), p.Use)
}

// MarshalJSON writes the detector as in the file: its kind is a key beside the detector's fields.
func (d Detector) MarshalJSON() ([]byte, error) {
	type fields Detector
	return inline(fields(d), d.Use)
}

// inline adds the union's key to the fields, which are never none.
func inline(fields any, use Use) ([]byte, error) {
	object, err := json.Marshal(fields)
	if err != nil || use.Name == "" {
		return object, err
	}
	entry, err := json.Marshal(map[string]any{use.Name: use.Config})
	if err != nil {
		return nil, err
	}
	return append(append(object[:len(object)-1], ','), entry[1:]...), nil
}
