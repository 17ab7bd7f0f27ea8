package load

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
)

// Limits are the items of a jsonschema tag that the loader checks; a test of the catalogues allows no others.
var Limits = []string{"enum", "minimum", "maximum", "minItems"}

// limitsOf returns a field's limits by name.
func limitsOf(f reflect.StructField) map[string][]string {
	limits := map[string][]string{}
	for _, item := range strings.Split(f.Tag.Get("jsonschema"), ",") {
		name, value, _ := strings.Cut(item, "=")
		limits[name] = append(limits[name], value)
	}
	return limits
}

// limits reports whether a value that could be read is inside the limits of its field.
func (d *decoder) limits(n *yaml.Node, path string, v reflect.Value, f field) bool {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	number := 0.0
	switch {
	case v.Kind() == reflect.Slice && v.Type() != rawType:
		if least := f.bound("minItems"); least != nil && float64(v.Len()) < *least {
			return d.fail(n, path, "must have at least %s, found %d", count(int(*least), "item"), v.Len())
		}
		ok := true
		for i := range v.Len() {
			ok = d.limits(n.Content[i], index(path, i), v.Index(i), field{limits: f.limits}) && ok
		}
		return ok
	case v.Kind() == reflect.String:
		return d.textLimits(n, path, v.String(), f)
	case v.CanInt():
		number = float64(v.Int())
	case v.CanUint():
		number = float64(v.Uint())
	case v.CanFloat():
		number = v.Float()
	default:
		return true
	}
	if least := f.bound("minimum"); least != nil && number < *least {
		return d.fail(n, path, "must be at least %s, found %s", f.limits["minimum"][0], n.Value)
	}
	if most := f.bound("maximum"); most != nil && number > *most {
		return d.fail(n, path, "must be at most %s, found %s", f.limits["maximum"][0], n.Value)
	}
	return true
}

// bound is the number that a limit gives, or nil.
func (f field) bound(limit string) *float64 {
	for _, value := range f.limits[limit] {
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			return &number
		}
	}
	return nil
}

func (d *decoder) textLimits(n *yaml.Node, path, text string, f field) bool {
	allowed := f.limits["enum"]
	switch {
	case f.filled && text == "":
		return d.fail(n, path, "must not be empty")
	case allowed == nil || slices.Contains(allowed, text):
		return true
	}
	hint := ""
	if meant := suggest.Meant(text, allowed); meant != "" {
		hint = fmt.Sprintf(": did you mean %q?", meant)
	}
	return d.fail(n, path, "%q must be one of %s%s", text, strings.Join(allowed, ", "), hint)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
