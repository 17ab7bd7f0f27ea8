package detect_test

import (
	"math"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func least(v float64) *units.NumberRange      { return &units.NumberRange{Min: &v} }
func most(v float64) *units.NumberRange       { return &units.NumberRange{Max: &v} }
func between(a, b float64) *units.NumberRange { return &units.NumberRange{Min: &a, Max: &b} }

func place(on string, selectors []string, begin, end map[string]float64) detect.Counters {
	return detect.Counters{Reader: "conntrack", On: on, For: selectors, Begin: begin, End: end}
}

type values = map[string]float64

func TestReading(t *testing.T) {
	w := detect.Window{Attempts: 10, Counters: []detect.Counters{
		place("node/node-1", []string{"nodes", "node-of/client"}, values{"drop": 5, "used": 0.1}, values{"drop": 25, "used": 0.9}),
		place("node/node-2", nil, values{"drop": 0, "used": 0.1}, values{"drop": 3, "used": 1}),
		place("pod/client-x1", nil, values{"drop": 0}, nil),
	}}
	for name, test := range map[string]struct {
		exp   scenario.ReadingExpectation
		seen  string
		ok    bool
		blind bool
	}{
		"rises are added up":       {scenario.ReadingExpectation{On: "nodes", Key: "drop", Rise: between(23, 23)}, "rose by 23", true, false},
		"selector":                 {scenario.ReadingExpectation{On: "node-of/client", Key: "drop", Rise: least(21)}, "rose by 20", false, false},
		"concrete place":           {scenario.ReadingExpectation{On: "node/node-2", Key: "drop", Rise: least(3)}, "rose by 3", true, false},
		"per attempt":              {scenario.ReadingExpectation{On: "nodes", Key: "drop", RisePerAttempt: least(2)}, "rose by 23 in 10 attempts: 2.3 per attempt", true, false},
		"every place has its min":  {scenario.ReadingExpectation{On: "nodes", Key: "used", Value: least(0.95)}, "is 0.9 at the worst of 2 places", false, false},
		"every place has its max":  {scenario.ReadingExpectation{On: "nodes", Key: "used", Value: most(0.95)}, "is 1 at the worst of 2 places", false, false},
		"worst breaks the bound":   {scenario.ReadingExpectation{On: "nodes", Key: "used", Value: between(0.8, 0.95)}, "is 1 at the worst of 2 places", false, false},
		"all places in":            {scenario.ReadingExpectation{On: "nodes", Key: "used", Value: least(0.9)}, "is 0.9 at the worst of 2 places", true, false},
		"no such key":              {scenario.ReadingExpectation{On: "nodes", Key: "x", Rise: most(0)}, "x of conntrack was not read on node/node-1 at begin and end", false, true},
		"no such place":            {scenario.ReadingExpectation{On: "host", Key: "drop", Rise: most(0)}, "conntrack was not read", false, true},
		"end was not read":         {scenario.ReadingExpectation{On: "pod/client", Key: "drop", Rise: most(0)}, "drop of conntrack was not read on pod/client-x1 at begin and end", false, true},
		"other pod, same beginner": {scenario.ReadingExpectation{On: "pod/cli", Key: "drop", Rise: most(0)}, "conntrack was not read", false, true},
		"no bound":                 {scenario.ReadingExpectation{On: "nodes", Key: "drop"}, "the expectation has no bound", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			test.exp.Reader = "conntrack"
			got := detect.Reading(test.exp, w)
			if got.Seen != test.seen || got.OK != test.ok || got.Blind != test.blind {
				t.Errorf("%+v", got)
			}
			if seen, ok := detect.ReadingCheck(test.exp, w); seen != got.Seen || ok != got.OK {
				t.Error(seen, ok)
			}
		})
	}
	w.Attempts = 0
	if c := detect.Reading(scenario.ReadingExpectation{Reader: "conntrack", On: "nodes", Key: "drop", RisePerAttempt: least(0)}, w); c.OK || !c.Blind {
		t.Errorf("rise over no attempts: %+v", c)
	}
}

func TestAValueWavers(t *testing.T) {
	full := detect.Counter{ReadingExpectation: scenario.ReadingExpectation{Reader: "conntrack", On: "nodes", Key: "used", Value: least(0.999)}}
	for name, test := range map[string]struct {
		used   []float64
		fired  bool
		wavers bool
	}{
		"full":            {[]float64{1, 1, 1}, true, false},
		"never full":      {[]float64{0.1, 0.95, 0.95}, false, false},
		"full in between": {[]float64{0.95, 1, 0.95}, false, true},
		"full at last":    {[]float64{0.95, 0.95, 1}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			at := []string{"begin", "", "end"}
			var events []history.Event
			for i, used := range test.used {
				events = append(events, history.Event{Kind: history.KindReading, Lane: "lane", Phase: "fault", Reading: &history.Reading{
					Reader: "conntrack", On: "node/node-1", At: at[i], Values: values{"used": used},
				}})
			}
			got := full.Decide(detect.WindowOf(events, "lane", "fault", "", nil, nil))
			if got.Fired != test.fired || got.Wavers != test.wavers {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestReadingNow(t *testing.T) {
	now := []history.Reading{{Reader: "change/fill", On: "node/node-1", Values: values{"armed": 1}}, {Reader: "change/fill", On: "node/node-2", Values: values{"armed": 0}}}
	armed := scenario.ReadingExpectation{Reader: "change/fill", Key: "armed", Value: least(1)}
	if seen, ok := detect.ReadingNow(armed, nil, now); ok || seen != "is 0 at the worst of 2 places" {
		t.Error(seen, ok)
	}
	now[1].Values["armed"] = 1
	if seen, ok := detect.ReadingNow(armed, nil, now); !ok {
		t.Error(seen)
	}
	rise := scenario.ReadingExpectation{Reader: "change/fill", Key: "armed", Rise: least(1)}
	if seen, ok := detect.ReadingNow(rise, nil, now); ok {
		t.Error("a rise from nothing", seen)
	}
}

func TestWaitFor(t *testing.T) {
	for want, exp := range map[string]scenario.ReadingExpectation{
		"conntrack on nodes: drop is at least 1":                {Reader: "conntrack", On: "nodes", Key: "drop", Value: least(1)},
		"change/hold: pairs rises by exactly 20":                {Reader: "change/hold", Key: "pairs", Rise: between(20, 20)},
		"change/hold: pairs rises by at least 0.95 per attempt": {Reader: "change/hold", Key: "pairs", RisePerAttempt: least(0.95)},
	} {
		if got := detect.WaitFor(exp); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProbeCheck(t *testing.T) {
	var w detect.Window
	for i := range 100 {
		s := history.Sample{Probe: "get", Took: float64(i+1) / 1000}
		if i >= 98 {
			s.Error = "i/o timeout"
		}
		w.Samples = append(w.Samples, s)
	}
	w.Samples = append(w.Samples, history.Sample{Probe: "other", Took: 99})
	d := func(v time.Duration) *units.DurationRange {
		x := units.Duration(v)
		return &units.DurationRange{Max: &x}
	}
	none := units.Percent(0)
	got := detect.ProbeCheck(scenario.ProbeExpectation{
		Probe: "get", Count: between(100, 100), Failed: &units.PercentRange{Max: &none}, Fastest: d(time.Millisecond),
		P50: d(50 * time.Millisecond), P99: d(99 * time.Millisecond), Slowest: d(99 * time.Millisecond),
	}, w)
	want := []detect.Check{
		{What: "get: exactly 100 attempts", Seen: "100", OK: true},
		{What: "get: at most 0% fail", Seen: "2 of 100 failed: i/o timeout"},
		{What: "get: fastest at most 1ms", Seen: "1 ms", OK: true},
		{What: "get: median at most 50ms", Seen: "50 ms", OK: true},
		{What: "get: 99th percentile at most 99ms", Seen: "99 ms", OK: true},
		{What: "get: slowest at most 99ms", Seen: "100 ms"},
	}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i].What != want[i].What || got[i].Seen != want[i].Seen || got[i].OK != want[i].OK {
			t.Errorf("%+v\nwant %+v", got[i], want[i])
		}
	}
	if c := detect.ProbeCheck(scenario.ProbeExpectation{Probe: "none", Slowest: d(0)}, w); len(c) != 1 || c[0].OK || !c[0].Blind {
		t.Errorf("no attempts: %+v", c)
	}
	if c := detect.ProbeCheck(scenario.ProbeExpectation{Probe: "none", Count: most(0)}, w); len(c) != 1 || !c[0].OK {
		t.Errorf("no attempts wanted: %+v", c)
	}
}

func TestBusiest(t *testing.T) {
	var w detect.Window
	for _, by := range []string{"web-1", "web-2", "web-1", "", "web-3"} {
		w.Samples = append(w.Samples, history.Sample{Probe: "get", By: by})
	}
	w.Samples = append(w.Samples, history.Sample{Probe: "get", By: "web-2", Error: "status 503"}, history.Sample{Probe: "mute"})
	half := units.Percent(0.5)
	bound := &units.PercentRange{Max: &half}
	want := detect.Check{What: "get: at most 50% of the answers come from one pod", Seen: "2 of 4 answers came from one pod of 3", OK: true}
	got := detect.ProbeCheck(scenario.ProbeExpectation{Probe: "get", Busiest: bound}, w)
	if len(got) != 1 || got[0].What != want.What || got[0].Seen != want.Seen || !got[0].OK {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	for range 2 {
		w.Samples = append(w.Samples, history.Sample{Probe: "get", By: "web-2", Lane: "another"})
	}
	if got := detect.ProbeCheck(scenario.ProbeExpectation{Probe: "get", Busiest: bound}, w); got[0].Seen != "4 of 6 answers came from one pod of 3" {
		t.Errorf("%+v", got)
	}
	if got := detect.ProbeCheck(scenario.ProbeExpectation{Probe: "mute", Busiest: bound}, w); len(got) != 1 || got[0].OK || !got[0].Blind {
		t.Errorf("nobody says who answered: %+v", got)
	}
}

func TestQuantile(t *testing.T) {
	for _, test := range []struct {
		n       int
		q, want float64
	}{{1, 0.99, 1}, {4, 0.5, 2}, {5, 0.5, 3}, {100, 0.99, 99}, {101, 0.99, 100}, {20, 0.99, 20}, {10, 0, 1}, {10, 1, 10}} {
		numbers := make([]float64, test.n)
		for i := range numbers {
			numbers[i] = float64(i + 1)
		}
		if got := detect.Quantile(numbers, test.q); got != test.want {
			t.Errorf("%v of %d: %v, want %v", test.q, test.n, got, test.want)
		}
	}
	if got := detect.Quantile(nil, 0.5); got != 0 || math.IsNaN(got) {
		t.Error(got)
	}
}
