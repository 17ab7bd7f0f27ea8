package load

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
)

// decoder fills Go values from YAML nodes. It goes on past errors, and notes where every field stands.
type decoder struct {
	cat scenario.Catalogues
	r   *report
}

func decode(root *yaml.Node, s *scenario.Scenario, cat scenario.Catalogues, r *report) {
	d := &decoder{cat: cat, r: r}
	d.value(root, "", reflect.ValueOf(s).Elem())
}

// fail reports a value that could not be read; it returns false for the caller to return.
func (d *decoder) fail(n *yaml.Node, path, format string, args ...any) bool {
	d.r.spoil(path)
	d.r.add(where(n), path, format, args...)
	return false
}

var rawType = reflect.TypeFor[scenario.Raw]()

// value reports whether all of n could be read into v.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value) bool {
	d.r.at[path] = where(n)
	if n.Kind == yaml.AliasNode { // already reported
		d.r.spoil(path)
		return false
	}
	if v.Type() == rawType {
		return d.json(n, path, func(data []byte) error { v.SetBytes(data); return nil })
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(n, path, v.Elem())
	}
	switch target := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		return d.unit(n, path, target)
	case json.Unmarshaler:
		return d.json(n, path, target.UnmarshalJSON)
	}
	switch v.Kind() {
	case reflect.Struct:
		return d.object(n, path, v)
	case reflect.Slice:
		return d.list(n, path, v)
	case reflect.Map:
		return d.dictionary(n, path, v)
	case reflect.String:
		text, ok := d.text(n, path)
		v.SetString(text)
		return ok
	case reflect.Bool:
		return d.boolean(n, path, v)
	case reflect.Interface:
		return d.json(n, path, func(data []byte) error { return json.Unmarshal(data, v.Addr().Interface()) })
	}
	if v.CanInt() || v.CanUint() || v.CanFloat() {
		return d.number(n, path, v)
	}
	return d.fail(n, path, "relapse cannot read into the Go type %s", v.Type())
}

func (d *decoder) json(n *yaml.Node, path string, set func([]byte) error) bool {
	value, ok := d.raw(n, path)
	if !ok {
		return false
	}
	data, err := json.Marshal(value)
	if err == nil {
		err = set(data)
	}
	if err != nil {
		return d.fail(n, path, "%s", err)
	}
	return true
}

func (d *decoder) list(n *yaml.Node, path string, v reflect.Value) bool {
	if n.Kind != yaml.SequenceNode {
		return d.fail(n, path, "expected a list, found %s", describe(n))
	}
	if !d.short(n, path) {
		return false
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	ok := true
	for i, item := range n.Content {
		ok = d.value(item, index(path, i), v.Index(i)) && ok
	}
	return ok
}

func (d *decoder) dictionary(n *yaml.Node, path string, v reflect.Value) bool {
	if n.Kind != yaml.MappingNode {
		return d.fail(n, path, "expected a mapping, found %s", describe(n))
	}
	v.Set(reflect.MakeMap(v.Type()))
	ok := true
	pairs(n, func(key, value *yaml.Node) {
		item := reflect.New(v.Type().Elem()).Elem()
		ok = d.value(value, join(path, key.Value), item) && ok
		v.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), item)
	})
	return ok
}

func (d *decoder) object(n *yaml.Node, path string, v reflect.Value) bool {
	setDefaults(v.Addr().Interface())
	fields := fieldsOf(v.Type())
	if n.Kind != yaml.MappingNode {
		if len(fields) > 0 && len(fields) < 4 { // few enough to say
			return d.fail(n, path, "expected a mapping with %s, found %s", strings.Join(sortedKeys(fields), ", "), describe(n))
		}
		return d.fail(n, path, "expected a mapping, found %s", describe(n))
	}
	ok, given := true, map[string]bool{}
	var others []pair
	pairs(n, func(key, value *yaml.Node) {
		f, known := fields[key.Value]
		if !known {
			others = append(others, pair{key, value})
			return
		}
		given[key.Value] = true
		at, target := join(path, key.Value), v.FieldByIndex(f.index)
		fine := d.value(value, at, target)
		if fine {
			fine = d.limits(value, at, target, f)
		}
		ok = ok && fine
	})
	if u := unionOf(v.Type(), d.cat); u != nil {
		ok = d.union(n, path, v, u, others) && ok
	} else {
		for _, other := range others {
			d.unknownField(other.key, path, sortedKeys(fields))
			ok = false
		}
	}
	for _, name := range sortedKeys(fields) {
		if at := join(path, name); fields[name].required && !given[name] {
			if !d.r.bad[at] { // it was probably mistyped, which is already reported
				d.r.add(where(n), at, "required field is missing")
			}
			d.r.spoil(at)
			ok = false
		}
	}
	return ok
}

type pair struct{ key, value *yaml.Node }

// unknownField also marks the field that was probably meant, so that it is not reported as missing.
func (d *decoder) unknownField(key *yaml.Node, path string, names []string) {
	if meant := join(path, suggest.Meant(key.Value, names)); meant != join(path, "") && !d.r.has(meant) {
		d.r.spoil(meant)
	}
	d.r.add(where(key), join(path, key.Value), "unknown field %q%s", key.Value, suggest.Hint(key.Value, "fields", names))
}

// field is what the tags say of a struct's field.
type field struct {
	index    []int
	required bool
	// filled is true if a text must not be empty: a required one of the scenario's own types, or one that names something.
	filled bool
	limits map[string][]string
}

var ownPackage = reflect.TypeFor[scenario.Scenario]().PkgPath()

// fieldsOf returns the fields of a struct by their names in the file; those of embedded structs are its own.
func fieldsOf(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() || scenario.Embedded(f) || insideNamed(t, f.Index) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		required := !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero")
		owner := t
		if parent := f.Index[:len(f.Index)-1]; len(parent) > 0 {
			owner = t.FieldByIndex(parent).Type
		}
		filled := required && (owner.PkgPath() == ownPackage || f.Tag.Get("ref") != "")
		fields[name] = field{index: f.Index, required: required, filled: filled, limits: limitsOf(f)}
	}
	return fields
}

// insideNamed reports whether a promoted field comes from an embedded struct that has a name of its own in the file.
func insideNamed(t reflect.Type, path []int) bool {
	for i := 1; i < len(path); i++ {
		if !scenario.Embedded(t.FieldByIndex(path[:i])) {
			return true
		}
	}
	return false
}
