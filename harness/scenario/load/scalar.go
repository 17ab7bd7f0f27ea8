package load

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// describe names what was found in place of what was expected.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!bool":
		return "the boolean " + n.Value
	}
	text := []rune(n.Value)
	if len(text) > 40 {
		text = append(text[:39], '…')
	}
	return fmt.Sprintf("the text %q", string(text))
}

// isText reports whether a scalar is text for every reader of YAML. Dates are text to all but YAML 1.1.
func isText(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!null", "!!int", "!!float", "!!bool":
		return false
	}
	return n.Kind == yaml.ScalarNode
}

// text reads a string; something else that looks like one is shown how to become one.
func (d *decoder) text(n *yaml.Node, path string) (string, bool) {
	if isText(n) {
		return n.Value, true
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null" {
		return "", d.fail(n, path, "expected text, found %s: put it in quotes", describe(n))
	}
	return "", d.fail(n, path, "expected text, found %s", describe(n))
}

// unit reads a type that has a text form of its own, such as a duration.
func (d *decoder) unit(n *yaml.Node, path string, target encoding.TextUnmarshaler) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		_, ok := d.text(n, path)
		return ok
	}
	// Its own message comes first: quotes would not make a duration of 20.
	if err := target.UnmarshalText([]byte(n.Value)); err != nil {
		return d.fail(n, path, "%s", err)
	}
	_, ok := d.text(n, path)
	return ok
}

func (d *decoder) boolean(n *yaml.Node, path string, v reflect.Value) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		return d.fail(n, path, "expected true or false, found %s", describe(n))
	}
	v.SetBool(n.Value[0] == 't' || n.Value[0] == 'T')
	return true
}

// jsonNumber is how numbers are written. YAML's other forms mean different numbers to different readers.
var (
	jsonNumber  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)
	wholeNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
)

// decimal refuses numbers that are not written as in JSON: octal, hexadecimal, with underscores, infinite.
func (d *decoder) decimal(n *yaml.Node, path string) bool {
	if jsonNumber.MatchString(n.Value) {
		return true
	}
	var v int64
	if n.ShortTag() == "!!int" && n.Decode(&v) == nil {
		return d.fail(n, path, "the number %s is not written in decimal: YAML reads it as %d", n.Value, v)
	}
	return d.fail(n, path, "the number %s is not written in decimal", n.Value)
}

func (d *decoder) number(n *yaml.Node, path string, v reflect.Value) bool {
	float := v.CanFloat()
	what := "a whole number"
	if float {
		what = "a number"
	}
	if n.Kind != yaml.ScalarNode || (n.ShortTag() != "!!int" && n.ShortTag() != "!!float") {
		return d.fail(n, path, "expected %s, found %s", what, describe(n))
	}
	if !d.decimal(n, path) {
		return false
	}
	if !float && !wholeNumber.MatchString(n.Value) {
		return d.fail(n, path, "expected a whole number, found %s", describe(n))
	}
	switch {
	case float:
		f, err := strconv.ParseFloat(n.Value, v.Type().Bits())
		if err != nil {
			return d.fail(n, path, "the number %s is too large", n.Value)
		}
		v.SetFloat(f)
	case v.CanInt():
		i, err := strconv.ParseInt(n.Value, 10, v.Type().Bits())
		if err != nil {
			high := int64(1)<<(v.Type().Bits()-1) - 1
			return d.fail(n, path, "the number %s is outside %d to %d", n.Value, -high-1, high)
		}
		v.SetInt(i)
	default:
		u, err := strconv.ParseUint(n.Value, 10, v.Type().Bits())
		if err != nil {
			return d.fail(n, path, "the number %s is outside 0 to %d", n.Value, ^uint64(0)>>(64-v.Type().Bits()))
		}
		v.SetUint(u)
	}
	return true
}

// raw turns any part of a file into JSON.
func (d *decoder) raw(n *yaml.Node, path string) (any, bool) {
	d.r.at[path] = where(n)
	switch n.Kind {
	case yaml.MappingNode:
		object, ok := map[string]any{}, true
		pairs(n, func(key, value *yaml.Node) {
			v, fine := d.raw(value, join(path, key.Value))
			object[key.Value], ok = v, ok && fine
		})
		return object, ok
	case yaml.SequenceNode:
		list, ok := make([]any, len(n.Content)), true
		for i, item := range n.Content {
			v, fine := d.raw(item, index(path, i))
			list[i], ok = v, ok && fine
		}
		return list, ok
	case yaml.AliasNode: // already reported
		d.r.spoil(path)
		return nil, false
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, true
	case "!!bool":
		return n.Value[0] == 't' || n.Value[0] == 'T', true
	case "!!int", "!!float":
		return json.Number(n.Value), d.decimal(n, path)
	}
	return n.Value, true
}
