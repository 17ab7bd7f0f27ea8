package scenario

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// limit is one item of a jsonschema tag, such as minimum=1: the schema and the loader know the same limits.
type limit struct{ name, value string }

func limitsOf(f reflect.StructField) []limit {
	tag := f.Tag.Get("jsonschema")
	if tag == "" {
		return nil
	}
	var limits []limit
	for _, item := range strings.Split(strings.ReplaceAll(tag, `\,`, "\x00"), ",") {
		name, value, _ := strings.Cut(item, "=")
		limits = append(limits, limit{name, strings.ReplaceAll(value, "\x00", ",")})
	}
	return limits
}

// limits reports whether a value that could be read is inside the limits of its field.
func (d *decoder) limits(n *yaml.Node, path string, v reflect.Value, f field) bool {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case v.Kind() == reflect.Slice && v.Type() != rawType:
		ok := d.listLimits(n, path, v, f.limits)
		for i := range v.Len() {
			ok = d.limits(n.Content[i], index(path, i), v.Index(i), field{limits: f.limits}) && ok
		}
		return ok
	case v.Kind() == reflect.String:
		if f.own && f.required && v.String() == "" {
			return d.fail(n, path, "must not be empty")
		}
		return d.textLimits(n, path, v.String(), f.limits)
	case v.CanInt():
		return d.numberLimits(n, path, float64(v.Int()), f.limits)
	case v.CanUint():
		return d.numberLimits(n, path, float64(v.Uint()), f.limits)
	case v.CanFloat():
		return d.numberLimits(n, path, v.Float(), f.limits)
	}
	return true
}

func (d *decoder) listLimits(n *yaml.Node, path string, v reflect.Value, limits []limit) bool {
	for _, l := range limits {
		bound, _ := strconv.Atoi(l.value)
		switch {
		case l.name == "minItems" && v.Len() < bound:
			return d.fail(n, path, "must have at least %s, found %d", count(bound, "item"), v.Len())
		case l.name == "maxItems" && v.Len() > bound:
			return d.fail(n, path, "must have at most %s, found %d", count(bound, "item"), v.Len())
		}
	}
	return true
}

func (d *decoder) textLimits(n *yaml.Node, path, text string, limits []limit) bool {
	var allowed []string
	for _, l := range limits {
		bound, _ := strconv.Atoi(l.value)
		length := len([]rune(text))
		switch {
		case l.name == "enum":
			allowed = append(allowed, l.value)
		case l.name == "minLength" && length < bound:
			if length == 0 {
				return d.fail(n, path, "must not be empty")
			}
			return d.fail(n, path, "%q is too short: write at least %s", text, count(bound, "character"))
		case l.name == "maxLength" && length > bound:
			return d.fail(n, path, "%q is too long: write at most %s", text, count(bound, "character"))
		case l.name == "pattern":
			if form, err := regexp.Compile(l.value); err == nil && !form.MatchString(text) {
				return d.fail(n, path, "%q does not match %s", text, l.value)
			}
		}
	}
	if allowed == nil || slices.Contains(allowed, text) {
		return true
	}
	if meant := didYouMean(text, allowed); meant != "" {
		return d.fail(n, path, "%q is none of %s: did you mean %q?", text, strings.Join(allowed, ", "), meant)
	}
	return d.fail(n, path, "%q is none of %s", text, strings.Join(allowed, ", "))
}

func (d *decoder) numberLimits(n *yaml.Node, path string, number float64, limits []limit) bool {
	var allowed []string
	for _, l := range limits {
		bound, err := strconv.ParseFloat(l.value, 64)
		if err != nil {
			continue
		}
		switch {
		case l.name == "enum":
			allowed = append(allowed, l.value)
		case l.name == "minimum" && number < bound:
			return d.fail(n, path, "must be at least %s, found %s", l.value, n.Value)
		case l.name == "maximum" && number > bound:
			return d.fail(n, path, "must be at most %s, found %s", l.value, n.Value)
		case l.name == "exclusiveMinimum" && number <= bound:
			return d.fail(n, path, "must be more than %s, found %s", l.value, n.Value)
		case l.name == "exclusiveMaximum" && number >= bound:
			return d.fail(n, path, "must be less than %s, found %s", l.value, n.Value)
		}
	}
	if allowed != nil && !slices.Contains(allowed, n.Value) {
		return d.fail(n, path, "%s is none of %s", n.Value, strings.Join(allowed, ", "))
	}
	return true
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
