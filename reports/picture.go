package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// columns is the order of the kinds of phases in time. A control takes the place of a remedy.
var columns = []string{"baseline", "fault", "remedy", "relapse", "restored"}

// picture makes the figure of a variant.
func (d Data) picture(v variant) plot.Figure {
	f := plot.Figure{ID: "pic-" + v.Name, Good: "ok", Bad: badWord(v.Spec.Symptom.Attempt)}
	if took := v.Spec.Symptom.Attempt.Took; took != nil && took.Min != nil {
		f.Limit = took.Min.Seconds()
	}
	f.Probes = probesOf(v)
	used := d.columnsOf(v)
	for _, name := range used {
		f.Columns = append(f.Columns, v.column(name))
	}
	keys, gauges := d.counters(v), d.gauges()
	for _, l := range v.Lanes {
		row := plot.Lane{}
		row.Title, row.Note = d.laneTitle(l)
		for _, p := range l.Phases {
			row.Cells = append(row.Cells, v.cell(l.Name, p, slices.Index(used, columnOf(p.Name, used)), f.Probes))
		}
		for _, key := range keys {
			row.Counters = append(row.Counters, l.counter(key, gauges))
		}
		f.Lanes = append(f.Lanes, row)
	}
	f.Title = "Probe times and kernel counters, variant " + v.Name
	f.Desc = describe(f)
	return f
}

// columnsOf lists the columns that the lanes need; kinds that nobody knows come last.
func (d Data) columnsOf(v variant) []string {
	kinds := map[string]bool{}
	var others []string
	for _, l := range v.Lanes {
		for _, p := range l.Phases {
			k := kind(p.Name)
			if !kinds[k] && k != "control" && !slices.Contains(columns, k) {
				others = append(others, k)
			}
			kinds[k] = true
		}
	}
	var used []string
	for _, name := range columns {
		switch {
		case kinds[name]:
			used = append(used, name)
		case name == "remedy" && kinds["control"]:
			used = append(used, "control")
		}
	}
	return append(used, others...)
}

func columnOf(phase string, used []string) string {
	k := kind(phase)
	if k == "control" && !slices.Contains(used, k) {
		return "remedy"
	}
	return k
}

// column heads the phases of one kind.
func (v variant) column(name string) plot.Column {
	c := plot.Column{Name: name, State: plot.Unknown, Word: "not sampled"}
	if i := slices.IndexFunc(v.Drawn.Kinds, func(k judge.Kind) bool { return k.Kind == name }); i >= 0 {
		k := v.Drawn.Kinds[i]
		if s := k.Symptom; s != nil {
			c.State, c.Word, c.Number = state(s), word(*s, v.Spec.Symptom.Attempt), units.Seconds(s.P50)
			switch n := max(s.Hits, s.Failed); {
			case k.Unwell > 0 && k.Unwell < k.Lanes:
				// One remedy that does not cure must not vanish in the median of those that do.
				c.Word, c.Number = fmt.Sprintf("%d of %d bad", k.Unwell, k.Lanes), ""
			case s.State == judge.Partly, s.State == judge.Bad && n > 0 && 2*n <= s.Trials:
				// The median is that of an attempt that is well.
				c.Number = fmt.Sprintf("%d of %d", n, s.Trials)
			}
		}
	} else if sum := v.unjudged(v.phasesOf(name)...); sum.Count > 0 {
		c.Word, c.Number = "median", units.Seconds(sum.P50)
	}
	outcome := v.Verdict.OutcomeOf(name)
	c.Wrong = outcome == judge.Fail
	c.Mark, c.Judged = inWords(outcome)
	return c
}

// phasesOf lists the phases of a kind in all lanes.
func (v variant) phasesOf(name string) []lanePhase {
	var phases []lanePhase
	for _, l := range v.Lanes {
		for _, p := range l.Phases {
			if kind(p.Name) == name {
				phases = append(phases, p)
			}
		}
	}
	return phases
}

// unjudged sums up attempts of which nobody knows any more whether they are bad.
func (v variant) unjudged(phases ...lanePhase) detect.Summary {
	var samples []history.Sample
	for _, p := range phases {
		for _, s := range p.Samples {
			if s.Probe == v.Spec.Symptom.Probe {
				samples = append(samples, s)
			}
		}
	}
	return detect.Summarize(samples)
}

func (v variant) cell(lane string, p lanePhase, column int, probes []string) plot.Cell {
	seen := v.sighting(lane, p.Name)
	c := plot.Cell{Column: column, Name: p.Name, Tone: tone(kind(p.Name)), Begin: p.Begin, End: p.End, Cut: p.Cut, State: state(seen)}
	if seen != nil {
		c.Label, c.Short = label(*seen)
	} else if sum := v.unjudged(p); sum.Count > 0 {
		c.Short = units.Seconds(sum.P50)
		c.Label = "p50 " + c.Short
	}
	if c.Cut {
		c.Label = strings.TrimPrefix(c.Label+", ended here", ", ")
		c.Short = "ended"
	}
	for _, m := range p.Moments {
		c.Moments = append(c.Moments, plot.Moment{T: m.T, Name: m.ID})
	}
	for _, s := range p.Samples {
		i := slices.Index(probes, s.Probe)
		c.Samples = append(c.Samples, plot.Sample{
			Probe: max(i, 0), Start: s.Start, Took: s.Took, Failed: s.Error != "",
			Symptom: s.Probe == v.Spec.Symptom.Probe && judge.Shows(v.Spec.Symptom.Attempt, s),
		})
	}
	return c
}

// probesOf lists the probes that were sampled, the symptom's first.
func probesOf(v variant) []string {
	var names []string
	if v.Spec.Symptom.Probe != "" {
		names = append(names, v.Spec.Symptom.Probe)
	}
	for _, l := range v.Lanes {
		for _, p := range l.Phases {
			for _, s := range p.Samples {
				if !slices.Contains(names, s.Probe) {
					names = append(names, s.Probe)
				}
			}
		}
	}
	return names
}

// laneTitle names a row by what is special about it.
func (d Data) laneTitle(l lane) (title, note string) {
	branch := branchOf(l.Name)
	if r, ok := d.remedy(branch); ok {
		return "Remedy: " + r.Title, branch
	}
	if c, ok := d.control(branch); ok {
		note := "the symptom must stay"
		if c.Expect == "healthy" {
			note = "the symptom must not appear"
		}
		return "Control: " + c.Title, note
	}
	for _, p := range l.Phases {
		if k := kind(p.Name); k == "remedy" || k == "control" {
			return strings.ToUpper(k[:1]) + k[1:] + ": " + branchOf(p.Name), ""
		}
	}
	return "The fault alone", ""
}

// describe says the picture in words, for those who do not see it.
func describe(f plot.Figure) string {
	var b strings.Builder
	for _, c := range f.Columns {
		fmt.Fprintf(&b, "%s: %s", c.Name, c.Word)
		switch {
		case strings.Contains(c.Number, " of "):
			b.WriteString(", " + c.Number + " attempts")
		case c.Number != "":
			b.WriteString(", median " + c.Number)
		}
		fmt.Fprintf(&b, ", %s. ", c.Judged)
	}
	for _, l := range f.Lanes {
		b.WriteString(l.Title + ": ")
		for i, c := range l.Cells {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(c.Name)
			if c.Label != "" {
				b.WriteString(" " + c.Label)
			}
			for _, m := range c.Moments {
				b.WriteString(", " + m.Name + " after " + units.Seconds(m.T-c.Begin))
			}
			for _, counter := range l.Counters {
				if i < len(counter.Moved) && counter.Moved[i] {
					b.WriteString(", " + counter.Name + " " + counter.Texts[i])
				}
			}
		}
		b.WriteString(". ")
	}
	return strings.TrimSpace(b.String())
}
