package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/history"
)

const (
	// mostLines is how many lines of one message are shown.
	mostLines = 5
	// lineLimit is how much of one line is shown.
	lineLimit = 400
)

// logGroup is one known message with where it was seen.
type logGroup struct {
	Source, Event, Count string
	Phases               []logCount
	Lines                []logLine
	// More is how many lines are only in the history.
	More int
}

// logCount is how many lines there were in a phase of a variant, over all its labs.
type logCount struct {
	Where, Tone string
	Count       int
}

type logLine struct{ At, Where, On, Line, Fields string }

// logs groups what programs, policies and the kernel said by message, in the order in which they were first heard.
func (d Data) logs(variants []variant) []logGroup {
	type key struct{ source, event string }
	var order []key
	lines := map[key][]history.Event{}
	for _, e := range d.Events {
		if e.Log == nil || e.Log.Event == "" {
			continue
		}
		k := key{e.Log.Source, e.Log.Event}
		if lines[k] == nil {
			order = append(order, k)
		}
		lines[k] = append(lines[k], e)
	}
	var groups []logGroup
	for _, k := range order {
		g := logGroup{Source: k.source, Event: k.event, Count: count(len(lines[k]), "line")}
		var counts []logCount
		for _, e := range lines[k] {
			lane, phase, at := d.whereSaid(e, variants)
			where := strings.Trim(variantOf(lane)+", "+phase, ", ")
			if where == "" {
				where = "between phases"
			}
			i := slices.IndexFunc(counts, func(c logCount) bool { return c.Where == where })
			if i < 0 {
				i = len(counts)
				counts = append(counts, logCount{Where: where, Tone: string(tone(kind(phase)))})
			}
			counts[i].Count++
			if len(g.Lines) == mostLines {
				g.More++
				continue
			}
			g.Lines = append(g.Lines, logLine{
				At: units.Seconds(at), Where: strings.Trim(lane+", "+phase, ", "), On: e.Log.On, Line: cut(e.Log.Line, lineLimit), Fields: fields(e.Log.Fields),
			})
		}
		// In the order of the phases, with what belongs to none at the end.
		for _, v := range variants {
			for _, l := range v.Lanes {
				for _, p := range l.Phases {
					where := v.Name + ", " + p.Name
					i := slices.IndexFunc(counts, func(c logCount) bool { return c.Where == where })
					if i >= 0 && !slices.Contains(g.Phases, counts[i]) {
						g.Phases = append(g.Phases, counts[i])
					}
				}
			}
		}
		for _, c := range counts {
			if !slices.Contains(g.Phases, c) {
				g.Phases = append(g.Phases, c)
			}
		}
		groups = append(groups, g)
	}
	return groups
}

// whereSaid finds the lane and the phase of a line, and when that was since the lane's start, as in the picture. One of the
// kernel's is of the lane whose namespace it names.
func (d Data) whereSaid(e history.Event, variants []variant) (laneName, phase string, at float64) {
	laneName, phase, at = e.Lane, e.Phase, e.T
	if e.Log.Netns != 0 {
		for place, inode := range d.Run.Netns {
			if name, _, ok := strings.Cut(place, " "); ok && inode == e.Log.Netns {
				laneName = name
			}
		}
	}
	for _, v := range variants {
		for _, l := range v.Lanes {
			if l.Name != laneName {
				continue
			}
			at -= l.Start
			for _, p := range l.Phases {
				if phase == "" && at >= p.Begin && at <= p.End {
					phase = p.Name
				}
			}
		}
	}
	return laneName, phase, at
}

// fields writes what a line says by name: "direction=EGRESS policy=deny".
func fields(f map[string]string) string {
	var parts []string
	for _, name := range sortedKeys(f) {
		parts = append(parts, fmt.Sprintf("%s=%s", name, f[name]))
	}
	return strings.Join(parts, " ")
}
