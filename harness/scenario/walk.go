package scenario

import (
	"fmt"
	"reflect"
	"strings"
)

// Visit is called by Walk with a value, its path in the file, and the struct field that holds it. Elements of a list are visited
// with the list's field.
type Visit func(path string, value reflect.Value, field reflect.StructField)

// Walk visits every value in root, which is a part of a scenario, with its path in the file. Settings of changes, probes and
// detectors are among them.
func Walk(path string, root any, visit Visit) {
	walk(path, reflect.ValueOf(root), reflect.StructField{}, visit)
}

func walk(path string, value reflect.Value, f reflect.StructField, visit Visit) {
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
		walk(Join(path, use.Name), reflect.ValueOf(use.Config), f, visit)
		return
	}
	visit(path, value, f)
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			sub := value.Type().Field(i)
			name, _, _ := strings.Cut(sub.Tag.Get("json"), ",")
			at := Join(path, name)
			if !sub.IsExported() || (name == "-" && sub.Type != reflect.TypeFor[Use]()) {
				continue
			}
			if Embedded(sub) || name == "-" {
				at = path
			}
			walk(at, value.Field(i), sub, visit)
		}
	case reflect.Slice:
		if value.Type() == reflect.TypeFor[Raw]() {
			return
		}
		for i := range value.Len() {
			walk(Index(path, i), value.Index(i), f, visit)
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			if key.Kind() == reflect.String {
				walk(Join(path, key.String()), value.MapIndex(key), f, visit)
			}
		}
	}
}

// Embedded reports whether the fields of f are written as if they were those of the struct around it.
func Embedded(f reflect.StructField) bool {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct
}

// Join makes the path of a field; a name that would be misread is quoted.
func Join(path, name string) string {
	if strings.ContainsAny(name, ".[]\" \n") {
		return fmt.Sprintf("%s[%q]", path, name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// Index makes the path of an element of a list.
func Index(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }
