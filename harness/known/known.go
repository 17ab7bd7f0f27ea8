// Package known reads the file of differences between runs that people know of and expect, until a day that each of them names.
package known

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Difference is one entry of the file: a change that is no news, and why. All fields but Environment must be given.
type Difference struct {
	Scenario string `yaml:"scenario"`
	Variant  string `yaml:"variant"`
	// What changed, as comparisons name it: outcome, claim/ID, detector/ID. A star stands for any text: "latency/*".
	What string `yaml:"what"`
	// Environment is the key of an environment; stars as in What: "kind/*". Empty means all.
	Environment string `yaml:"environment"`
	Why         string `yaml:"why"`
	// Until is the last day on which it is expected: 2027-01-31. After it, the difference is news again.
	Until Day `yaml:"until"`
	// Line in the file, from 1.
	Line int `yaml:"-"`
}

// Day is a date without a time, in UTC.
type Day struct{ time.Time }

// UnmarshalYAML reads YEAR-MONTH-DAY.
func (d *Day) UnmarshalYAML(n *yaml.Node) error {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err != nil {
		return fmt.Errorf("line %d: until: %q is no date such as 2027-01-31", n.Line, n.Value)
	}
	d.Time = t
	return nil
}

func (d Day) String() string { return d.Format(time.DateOnly) }

// Expired is whether the last day of the difference is over.
func (d Difference) Expired(now time.Time) bool { return !now.UTC().Before(d.Until.AddDate(0, 0, 1)) }

// List is all entries of a file, in its order.
type List []Difference

// Find returns the entry that explains a change now, and whether there is one. Expired entries explain nothing.
func (l List) Find(scenario, variant, environment, what string, now time.Time) (Difference, bool) {
	i := slices.IndexFunc(l, func(d Difference) bool {
		return d.Scenario == scenario && d.Variant == variant && like(d.What, what) && (d.Environment == "" || like(d.Environment, environment)) && !d.Expired(now)
	})
	if i < 0 {
		return Difference{}, false
	}
	return l[i], true
}

// Expired are the entries whose last day is over: they must be renewed or removed.
func (l List) Expired(now time.Time) List {
	return slices.DeleteFunc(slices.Clone(l), func(d Difference) bool { return !d.Expired(now) })
}

// like compares with a pattern, in which a star stands for any text.
func like(pattern, text string) bool {
	return regexp.MustCompile("(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(text)
}

// Parse reads a file, a YAML list of differences. All errors are returned at once, each with the file's name and the line.
func Parse(name string, text []byte) (List, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var lines []yaml.Node
	if err := yaml.Unmarshal(text, &lines); err != nil {
		return nil, fmt.Errorf("%s: a list of known differences is wanted: %w", name, err)
	}
	var list List
	if err := decoder.Decode(&list); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: a second document: a file holds one list", name)
	}
	var wrong []error
	for i := range list {
		d := &list[i]
		d.Line = lines[i].Line
		for _, complaint := range d.complaints() {
			wrong = append(wrong, fmt.Errorf("%s:%d: %s", name, d.Line, complaint))
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return list, nil
}

// complaints says what is wrong with an entry, field by field.
func (d Difference) complaints() []string {
	var all []string
	for _, f := range []struct{ name, value string }{{"scenario", d.Scenario}, {"variant", d.Variant}, {"what", d.What}, {"why", d.Why}} {
		if f.value == "" {
			all = append(all, f.name+" is missing")
		}
	}
	if d.Until.IsZero() {
		all = append(all, "until is missing: the last day on which this is expected, such as 2027-01-31")
	}
	return all
}
