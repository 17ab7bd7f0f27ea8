// Package units holds the values with units that settings are written in: durations, shares, and ranges of them.
package units

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time, written as Go writes it: "250ms", "2s", "1m30s".
type Duration time.Duration

// Std returns d as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Seconds returns d in seconds.
func (d Duration) Seconds() float64 { return time.Duration(d).Seconds() }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// DurationPattern is what a duration looks like, in the schema and here.
const DurationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`

var durationForm = regexp.MustCompile(DurationPattern)

// UnmarshalText reads "2s"; a number without a unit is refused.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || !durationForm.Match(text) {
		return fmt.Errorf("%q is not a duration: write a number with a unit, like 250ms, 2s or 1m30s", text)
	}
	*d = Duration(v)
	return nil
}

// Percent is a share of a whole, written with its sign: "3%", "99.5%". Its value is the fraction: "3%" is 0.03.
type Percent float64

// String rounds to a millionth of a percent, which hides that 3% is not exactly 0.03 in binary.
func (p Percent) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*1e8)/1e6, 'f', -1, 64) + "%"
}

// MarshalText writes the form that UnmarshalText reads.
func (p Percent) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// PercentPattern is what a percentage looks like, in the schema and here.
const PercentPattern = `^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)%$`

var percentForm = regexp.MustCompile(PercentPattern)

// UnmarshalText reads "3%"; values outside 0% to 100% are refused.
func (p *Percent) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !percentForm.Match(text) {
		return fmt.Errorf("%q is not a percentage: write a number from 0 to 100 with its sign, like 3%% or 99.5%%", text)
	}
	*p = Percent(v / 100)
	return nil
}

// DurationRange is a range of durations; either end may be absent, both ends belong to it.
type DurationRange struct {
	// Min is the shortest duration that is inside.
	Min *Duration `json:"min,omitempty"`
	// Max is the longest duration that is inside.
	Max *Duration `json:"max,omitempty"`
}

// Contains reports whether a number of seconds is inside.
func (r *DurationRange) Contains(seconds float64) bool {
	return r == nil || ((r.Min == nil || seconds >= r.Min.Seconds()) && (r.Max == nil || seconds <= r.Max.Seconds()))
}

func (r *DurationRange) String() string {
	if r == nil {
		return "any"
	}
	return describeRange(r.Min, r.Max)
}

// PercentRange is a range of shares; either end may be absent, both ends belong to it.
type PercentRange struct {
	// Min is the smallest share that is inside.
	Min *Percent `json:"min,omitempty"`
	// Max is the largest share that is inside.
	Max *Percent `json:"max,omitempty"`
}

// Contains reports whether a fraction (0 to 1) is inside.
func (r *PercentRange) Contains(fraction float64) bool {
	return r == nil || ((r.Min == nil || fraction >= float64(*r.Min)) && (r.Max == nil || fraction <= float64(*r.Max)))
}

func (r *PercentRange) String() string {
	if r == nil {
		return "any"
	}
	return describeRange(r.Min, r.Max)
}

// NumberRange is a range of plain numbers (packets, entries, events); either end may be absent, both ends belong to it.
type NumberRange struct {
	// Min is the smallest number that is inside.
	Min *float64 `json:"min,omitempty"`
	// Max is the largest number that is inside.
	Max *float64 `json:"max,omitempty"`
}

// Contains reports whether v is inside.
func (r *NumberRange) Contains(v float64) bool {
	return r == nil || ((r.Min == nil || v >= *r.Min) && (r.Max == nil || v <= *r.Max))
}

func (r *NumberRange) String() string {
	if r == nil {
		return "any"
	}
	return describeRange(r.Min, r.Max)
}

func describeRange[T any](low, high *T) string {
	text := func(v *T) string {
		if f, ok := any(*v).(float64); ok {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
		return fmt.Sprint(*v)
	}
	switch {
	case low != nil && high != nil:
		return text(low) + " to " + text(high)
	case low != nil:
		return "at least " + text(low)
	case high != nil:
		return "at most " + text(high)
	}
	return "any"
}
