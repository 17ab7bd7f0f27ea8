package reports

import (
	"fmt"
	"slices"
	"strings"

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
	keys := d.counters(v)
	for _, l := range v.Lanes {
		row := plot.Lane{}
		row.Title, row.Note = d.laneTitle(l)
		for _, p := range l.Phases {
			row.Cells = append(row.Cells, v.cell(p, slices.Index(used, columnOf(p.Name, used)), f.Probes))
		}
		for _, key := range keys {
			row.Counters = append(row.Counters, l.counter(key))
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

// column sums up a kind of phase over all lanes.
func (v variant) column(name string) plot.Column {
	var samples []history.Sample
	bad, all := 0, 0
	for _, l := range v.Lanes {
		for _, p := range l.Phases {
			if kind(p.Name) == name {
				samples = append(samples, p.Samples...)
				all++
				if observe(p.Samples, v.Spec.Symptom).State == plot.Symptom {
					bad++
				}
			}
		}
	}
	o := observe(samples, v.Spec.Symptom)
	c := plot.Column{Name: name, State: o.State, Word: o.Word}
	if o.Count > 0 {
		c.Number = timing(o.P50)
	}
	if all > 1 && bad > 0 && bad < all {
		// One remedy that does not cure must not vanish in the median of those that do.
		c.State, c.Word, c.Number = plot.Symptom, fmt.Sprintf("%d of %d bad", bad, all), ""
	}
	outcome := judged(v.Verdict, name)
	c.Wrong = outcome == judge.Fail
	c.Mark, c.Judged = inWords(outcome)
	return c
}

func (v variant) cell(p lanePhase, column int, probes []string) plot.Cell {
	o := observe(p.Samples, v.Spec.Symptom)
	c := plot.Cell{Column: column, Name: p.Name, Tone: tone(kind(p.Name)), Begin: p.Begin, End: p.End, Cut: p.Cut, State: o.State}
	c.Label, c.Short = o.label()
	if c.Cut {
		c.Label = strings.TrimPrefix(c.Label+", ended here", ", ")
		c.Short = "ended"
	}
	for _, s := range p.Samples {
		i := slices.Index(probes, s.Probe)
		c.Samples = append(c.Samples, plot.Sample{
			Probe: max(i, 0), Start: s.Start, Took: s.Took, Failed: s.Error != "",
			Symptom: s.Probe == v.Spec.Symptom.Probe && hit(v.Spec.Symptom.Attempt, s),
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
		if c.Number != "" {
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
