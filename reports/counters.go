package reports

import (
	"encoding/json"
	"math"
	"slices"
	"strings"

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
	var read []counterKey
	moved := map[counterKey]bool{}
	for _, l := range v.Lanes {
		for _, r := range l.Readings {
			for key := range r.Values {
				if k := (counterKey{r.Reader, key}); !slices.Contains(read, k) {
					read = append(read, k)
				}
			}
		}
	}
	slices.SortFunc(read, func(a, b counterKey) int { return strings.Compare(a.Reader+"\x00"+a.Key, b.Reader+"\x00"+b.Key) })
	for _, k := range read {
		for _, l := range v.Lanes {
			moved[k] = moved[k] || slices.Contains(l.counter(k).Moved, true)
		}
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
		if moved[k] && k.Reader == "conntrack" && !duller[k.Key] {
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
	var walk func(any)
	walk = func(x any) {
		switch x := x.(type) {
		case string:
			words = append(words, x)
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
	for _, detector := range d.scenario().Detection {
		if !applies(detector.Variants, v.Name) {
			continue
		}
		data, err := json.Marshal(detector.Use.Config)
		var settings any
		if err == nil && json.Unmarshal(data, &settings) == nil {
			walk(settings)
		}
	}
	return words
}

// gauge reports whether a number goes up and down rather than counting.
func gauge(key string) bool {
	return key == "used" || key == "count" || key == "max" || key == "entries"
}

// counter follows one number over a lane. The counts of several places are added up; of shares the largest is taken.
func (l lane) counter(key counterKey) plot.Counter {
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
	first, last := map[string][2]float64{}, map[string]bool{}
	for _, r := range l.Readings {
		value, ok := r.Values[key.Key]
		if r.Reader != key.Reader || !ok {
			continue
		}
		places[r.On] = value
		if p := (plot.Point{T: r.T, V: total()}); len(c.Points) > 0 && c.Points[len(c.Points)-1].T == p.T {
			c.Points[len(c.Points)-1] = p
		} else {
			c.Points = append(c.Points, p)
		}
		at := r.Phase + "\x00" + r.On
		if !last[at] {
			last[at] = true
			first[at] = [2]float64{value, value}
		}
		first[at] = [2]float64{first[at][0], value}
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
			c.Texts[i], c.Moved[i] = percent(end), math.Abs(rise) > 0.01
		case gauge(key.Key):
			c.Texts[i], c.Moved[i] = plot.Number(end), rise != 0
		case rise > 0:
			c.Texts[i], c.Moved[i] = "+"+plot.Number(rise), true
		default:
			c.Texts[i] = plot.Number(rise)
		}
	}
	return c
}
