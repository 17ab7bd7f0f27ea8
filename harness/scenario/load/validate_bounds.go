package load

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

var (
	nothing, all = units.Percent(0), units.Percent(1)
	noTime       = units.Duration(0)
	zero, one    = 0.0, 1.0
)

// bound checks a bound, wherever it stands: something must be able to violate it, and something to meet it.
func (v *validator) bound(path string, value reflect.Value) {
	if value.Kind() == reflect.Struct {
		v.noteProbe(path, value)
	}
	switch e := value.Interface().(type) {
	case scenario.ProbeExpectation:
		v.bounded(path)
		if at := join(path, "count"); e.Count != nil && covers(e.Count.Min, e.Count.Max, &zero, nil) && v.readable(at) {
			v.r.addAt(at, "always true: the number of attempts is never negative")
		}
	case units.DurationRange:
		if checkRange(v, path, e.Min, e.Max, &e) && covers(e.Min, e.Max, &noTime, nil) {
			v.r.addAt(path, "always true: nothing takes less than 0s")
		}
		v.withinTimeout(path, e)
	case units.PercentRange:
		if checkRange(v, path, e.Min, e.Max, &e) && covers(e.Min, e.Max, &nothing, &all) {
			v.r.addAt(path, "always true: a share is never below 0%% or above 100%%")
		}
	case units.NumberRange:
		checkRange(v, path, e.Min, e.Max, &e)
	}
}

// covers reports whether a range holds everything between least and most; nil is no limit.
func covers[T cmp.Ordered](low, high, least, most *T) bool {
	return (low == nil || least != nil && *low <= *least) && (high == nil || most != nil && *high >= *most)
}

// readable reports whether the file gives a range that has an end and could be read.
func (v *validator) readable(path string) bool {
	return v.r.has(path) && !v.r.broken(path) && (v.r.has(join(path, "min")) || v.r.has(join(path, "max")))
}

// checkRange reports whether a range of the file has an end, and something in it.
func checkRange[T cmp.Ordered](v *validator, path string, low, high *T, r any) bool {
	if !v.r.has(path) || v.r.broken(path) {
		return false
	}
	switch {
	case low == nil && high == nil:
		v.r.addAt(path, "always true: a range needs min, max or both")
	case low != nil && high != nil && *low > *high:
		v.r.addAt(path, "never true: nothing is in the range %s, min is above max", r)
	default:
		return true
	}
	return false
}

// bounded checks that an expectation of a probe expects something. What is healthy says how many attempts fail: else a cure with which
// all of them fail quickly would do.
func (v *validator) bounded(path string) {
	bounds := []string{"count", "failed", "fastest", "p50", "p99", "slowest", "busiest"}
	list, _, _ := strings.Cut(path[strings.LastIndexByte(path, '.')+1:], "[")
	switch {
	case !slices.ContainsFunc(bounds, func(bound string) bool { return v.r.has(join(path, bound)) }):
		v.r.addAt(path, "always true: there is no bound: give at least one of %s", strings.Join(bounds, ", "))
	case list == "healthy" && !v.r.has(join(path, "failed")):
		v.r.addAt(path, "failed is required: without it, attempts that all fail are healthy too")
	}
}

// canFail checks that the number of a reading can violate its bound.
func (v *validator) canFail(path string, e scenario.ReadingExpectation) {
	keys, ok := v.keysOf(e)
	key, known := keys[e.Key]
	if !ok || !known || !v.readable(path) {
		return
	}
	switch {
	case e.Value != nil && key.Kind != units.Signed && e.Value.Max != nil && *e.Value.Max < 0:
		v.r.addAt(path, "never true: %s of %s is never negative", e.Key, e.Reader)
	case e.Value != nil && key.Kind == units.Share && e.Value.Min != nil && *e.Value.Min > 1:
		v.r.addAt(path, "never true: %s of %s is never above 1", e.Key, e.Reader)
	case e.Value != nil && key.Kind == units.Share && covers(e.Value.Min, e.Value.Max, &zero, &one):
		v.r.addAt(path, "always true: %s of %s is never below 0 or above 1", e.Key, e.Reader)
	case e.Value != nil && key.Kind != units.Signed && covers(e.Value.Min, e.Value.Max, &zero, nil):
		v.r.addAt(path, "always true: %s of %s is never negative", e.Key, e.Reader)
	}
	for _, rise := range []*units.NumberRange{e.Rise, e.RisePerAttempt} {
		if rise != nil && key.Kind == units.Counter && covers(rise.Min, rise.Max, &zero, nil) {
			v.r.addAt(path, "always true: %s of %s is a counter, which never falls", e.Key, e.Reader)
		}
		if rise != nil && key.Kind == units.Counter && rise.Max != nil && *rise.Max < 0 {
			v.r.addAt(path, "never true: %s of %s is a counter, which never falls", e.Key, e.Reader)
		}
	}
}

// proves checks that one of the readings is told from a change that has no effect, whose numbers are 0. What a reader sees is held against
// the baseline.
func (v *validator) proves(path string, proof []scenario.ReadingExpectation) {
	if len(proof) > 0 && !v.r.broken(path) && !slices.ContainsFunc(proof, func(e scenario.ReadingExpectation) bool {
		_, ofChange := e.Change()
		return !ofChange || !contains(e, 0) || e.Value == nil && e.Rise == nil && e.RisePerAttempt == nil // which was said
	}) {
		v.r.addAt(path, "proves nothing: it holds for a change that has no effect, whose numbers are 0")
	}
}

// contains reports whether the bound of a reading holds for a number.
func contains(e scenario.ReadingExpectation, n float64) bool {
	for _, bound := range []*units.NumberRange{e.Value, e.Rise, e.RisePerAttempt} {
		if bound != nil && !bound.Contains(n) {
			return false
		}
	}
	return true
}

// noteProbe notes how long an attempt of the probe that a bound is about can take.
func (v *validator) noteProbe(path string, value reflect.Value) {
	f, ok := value.Type().FieldByName("Probe")
	if !ok || f.Tag.Get("ref") != "probe" {
		return
	}
	for _, probe := range v.s.Probes {
		if probe.ID == value.FieldByIndex(f.Index).String() {
			v.timeouts[path] = probe.Timeout
		}
	}
}

// withinTimeout checks that an attempt can take that long.
func (v *validator) withinTimeout(path string, e units.DurationRange) {
	for around := path; around != ""; around = parent(around) {
		limit, ok := v.timeouts[around]
		if ok && limit > 0 && e.Min != nil && *e.Min > limit && v.r.has(path) {
			v.r.addAt(path, "never true: the probe's timeout ends an attempt after %s", limit)
		}
		// An attempt that is ended takes a little longer than its timeout.
		if ok && limit > 0 && e.Min == nil && e.Max != nil && e.Max.Std() >= 2*limit.Std() && v.r.has(path) {
			v.r.addAt(path, "always true: the probe's timeout ends an attempt after %s", limit)
		}
		if ok {
			return
		}
	}
}

// shown checks that a symptom needs an attempt that shows it.
func (v *validator) shown(path string, share *units.PercentRange) {
	if v.readable(path) && share != nil && (share.Min == nil || *share.Min == 0) && !covers(share.Min, share.Max, &nothing, &all) {
		v.r.addAt(path, "no attempt has to show the symptom: give min")
	}
}
