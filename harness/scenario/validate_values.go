package scenario

import (
	"cmp"
	"reflect"
	"strings"
)

// ranges checks every range of the scenario, wherever it stands, configs included.
func (v *validator) ranges(path string, root any) {
	v.walk(path, reflect.ValueOf(root), func(path string, value reflect.Value, _ reflect.StructField) {
		switch r := value.Interface().(type) {
		case DurationRange:
			checkRange(v, path, r.Min, r.Max, &r)
		case PercentRange:
			checkRange(v, path, r.Min, r.Max, &r)
		case NumberRange:
			checkRange(v, path, r.Min, r.Max, &r)
		}
	})
}

func checkRange[T cmp.Ordered](v *validator, path string, low, high *T, r any) {
	if v.r.broken(path) {
		return
	}
	if low == nil && high == nil {
		v.r.addAt(path, "a range needs min, max or both")
	}
	if low != nil && high != nil && *low > *high {
		v.r.addAt(path, "nothing is in the range %s: min is above max", r)
	}
}

// config checks what a catalogue's entry says about the scenario: expectations, and fields tagged with what they refer to.
// Without steps (for probes) there are no changes to read.
func (v *validator) config(path string, config any, steps *names) {
	if config == nil || v.r.blocked(path) {
		return
	}
	if steps == nil {
		steps = &names{noun: "step", plural: "steps that are on then"}
	}
	v.walk(path, reflect.ValueOf(config), func(path string, value reflect.Value, f reflect.StructField) {
		switch e := value.Interface().(type) {
		case ReadingExpectation:
			v.reading(path, e, *steps)
		case ProbeExpectation:
			v.expectation(path, e)
		}
		if value.Kind() != reflect.String || value.String() == "" || v.r.blocked(path) {
			return
		}
		switch f.Tag.Get("ref") {
		case "probe":
			v.ref(path, value.String(), v.probes)
		case "pod":
			v.ref(path, value.String(), v.pods)
		case "place":
			v.place(path, value.String())
		}
	})
}

// walk visits every value in v with its path in the file. Elements of a list are visited with the list's field.
func (v *validator) walk(path string, value reflect.Value, visit func(string, reflect.Value, reflect.StructField)) {
	v.visit(path, value, reflect.StructField{}, visit)
}

func (v *validator) visit(path string, value reflect.Value, f reflect.StructField, visit func(string, reflect.Value, reflect.StructField)) {
	for value.Kind() == reflect.Pointer || value.Kind() == reflect.Interface {
		if value.IsNil() {
			return
		}
		value = value.Elem()
	}
	if !value.IsValid() || !value.CanInterface() {
		return
	}
	if use, ok := value.Interface().(Use); ok {
		v.visit(join(path, use.Name), reflect.ValueOf(use.Config), f, visit)
		return
	}
	visit(path, value, f)
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			sub := value.Type().Field(i)
			name, _, _ := strings.Cut(sub.Tag.Get("json"), ",")
			at := join(path, name)
			if !sub.IsExported() || (name == "-" && sub.Type != reflect.TypeFor[Use]()) {
				continue
			}
			if embedded(sub) || name == "-" {
				at = path
			}
			v.visit(at, value.Field(i), sub, visit)
		}
	case reflect.Slice:
		if value.Type() == rawType {
			return
		}
		for i := range value.Len() {
			v.visit(index(path, i), value.Index(i), f, visit)
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			if key.Kind() == reflect.String {
				v.visit(join(path, key.String()), value.MapIndex(key), f, visit)
			}
		}
	}
}
