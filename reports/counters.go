package reports

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// counterKey is a number that agents read.
type counterKey struct{ Reader, Key string }

func (k counterKey) String() string {
	change, ok := strings.CutPrefix(k.Reader, "change/")
	// The place beside a row is narrow; of a long name the number's own is the telling part.
	if name := change + "." + k.Key; ok && len(name) <= 16 {
		return name
	}
	return k.Key
}

// mostCounters is how many counters a row shows: more, and the picture is a dashboard and no longer a story.
const mostCounters = 3

// counters chooses the numbers worth drawing: those that detectors look at, then those that prove the fault, then those that
// moved by themselves. Named ones stay even where they did not move: quiet is part of the story.
func (d Data) counters(v variant) []counterKey {
	gauges := d.gauges()
	all := map[counterKey]bool{}
	for _, l := range v.Lanes {
		for _, r := range l.Readings {
			for key := range r.Values {
				all[counterKey{r.Reader, key}] = true
			}
		}
	}
	read := slices.Collect(maps.Keys(all))
	slices.SortFunc(read, func(a, b counterKey) int { return strings.Compare(a.Reader+"\x00"+a.Key, b.Reader+"\x00"+b.Key) })
	moved := func(k counterKey) bool {
		return slices.ContainsFunc(v.Lanes, func(l lane) bool { return slices.Contains(l.counter(k, gauges).Moved, true) })
	}
	var chosen []counterKey
	choose := func(k counterKey) {
		if slices.Contains(read, k) && !slices.Contains(chosen, k) && len(chosen) < mostCounters {
			chosen = append(chosen, k)
		}
	}
	for _, word := range d.watched(v) {
		for _, k := range read {
			if k.Key == word {
				choose(k)
			}
		}
	}
	for _, p := range v.Spec.Fault.Proof {
		choose(counterKey{p.Reader, p.Key})
	}
	for _, k := range read {
		if len(chosen) < mostCounters && k.Reader == "conntrack" && !duller[k.Key] && moved(k) {
			choose(k)
		}
	}
	return chosen
}

// duller numbers move in every healthy run, or say the same as a better one.
var duller = map[string]bool{"count": true, "max": true, "found": true, "insert": true, "delete": true, "search_restart": true, "searched": true, "new": true, "used": true}

// watched lists the words in the settings of the variant's detectors. Their types are not known here, and need not be: a
// word that is also the name of a reading is one that is looked at.
func (d Data) watched(v variant) []string {
	var words []string
	for _, detector := range d.scenario().Detection {
		if applies(detector.Variants, v.Name) {
			visit(detector.Use.Config, func(x any) {
				if word, ok := x.(string); ok {
					words = append(words, word)
				}
			})
		}
	}
	return words
}

// gauges are the numbers that go up and down rather than count: those that the scenario expects a value of.
func (d Data) gauges() map[counterKey]bool {
	all := map[counterKey]bool{}
	visit(d.scenario(), func(x any) {
		bound, _ := x.(map[string]any)
		reader, _ := bound["reader"].(string)
		key, _ := bound["key"].(string)
		if bound["value"] != nil && key != "" {
			all[counterKey{reader, key}] = true
		}
	})
	return all
}

// visit calls a function with everything that settings hold, as they are written in a file.
func visit(settings any, do func(any)) {
	data, err := json.Marshal(settings)
	var all any
	if err != nil || json.Unmarshal(data, &all) != nil {
		return
	}
	var walk func(any)
	walk = func(x any) {
		do(x)
		switch x := x.(type) {
		case []any:
			for _, e := range x {
				walk(e)
			}
		case map[string]any:
			for _, key := range sortedKeys(x) {
				walk(x[key])
			}
		}
	}
	walk(all)
}

// gauge reports whether a number of conntrack's goes up and down.
func gauge(key string) bool {
	return key == "used" || key == "count" || key == "max" || key == "entries"
}

// counter follows one number over a lane. The counts of several places are added up; of shares the largest is taken. Of a
// gauge the value is shown, of any other number the rise.
func (l lane) counter(key counterKey, gauges map[counterKey]bool) plot.Counter {
	c := plot.Counter{Name: key.String(), Texts: make([]string, len(l.Phases)), Moved: make([]bool, len(l.Phases))}
	places := map[string]float64{}
	total := func() float64 {
		sum, most := 0.0, math.Inf(-1)
		for _, v := range places {
			sum += v
			most = max(most, v)
		}
		if key.Key == "used" {
			return most
		}
		return sum
	}
	first := map[string][2]float64{}
	for _, r := range l.Readings {
		if r.Reader != key.Reader {
			continue
		}
		value, ok := r.Values[key.Key]
		if !ok {
			continue
		}
		places[r.On] = value
		if p := (plot.Point{T: r.T, V: total()}); len(c.Points) > 0 && c.Points[len(c.Points)-1].T == p.T {
			c.Points[len(c.Points)-1] = p
		} else {
			c.Points = append(c.Points, p)
		}
		at := r.Phase + "\x00" + r.On
		if ends, seen := first[at]; seen {
			first[at] = [2]float64{ends[0], value}
		} else {
			first[at] = [2]float64{value, value}
		}
	}
	for i, p := range l.Phases {
		rise, end, seen := 0.0, math.Inf(-1), false
		for at, ends := range first {
			if strings.HasPrefix(at, p.Name+"\x00") {
				rise, end, seen = rise+ends[1]-ends[0], max(end, ends[1]), true
			}
		}
		switch {
		case !seen:
		case key.Key == "used":
			c.Texts[i], c.Moved[i] = Percent(end), math.Abs(rise) > 0.01
		case gauge(key.Key) || gauges[key]:
			c.Texts[i], c.Moved[i] = units.Number(end), rise != 0
		case rise > 0:
			c.Texts[i], c.Moved[i] = "+"+units.Number(rise), true
		default:
			c.Texts[i] = units.Number(rise)
		}
	}
	return c
}
