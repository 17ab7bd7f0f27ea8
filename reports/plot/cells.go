package plot

import (
	"math"
	"strings"
)

// cell draws one phase of a lane: its shade, its label and the attempts.
func (d *drawing) cell(cell Cell, x, width, top, bottom float64) {
	d.tag("rect", "class", "cell "+string(cell.Tone), "x", x+1, "y", top, "width", width-2, "height", bottom-top)
	d.grid(x, width, bottom)
	label, pad := cell.Label, 6.0
	if d.Inside {
		label, pad = cell.Short, 3
	}
	d.label(x+pad, top+13, label, "class", "seen "+string(cell.State))
	if cell.Cut {
		d.tag("line", "class", "cut", "x1", x+width-2, "x2", x+width-2, "y1", top, "y2", bottom)
	}
	span := Linear{cell.Begin, cell.End}
	at := func(t float64) float64 { return x + 5 + span.At(t)*(width-10) }
	for i, m := range cell.Moments {
		mx := at(m.T)
		d.tag("line", "class", "moment", "x1", mx, "x2", mx, "y1", top+18, "y2", bottom)
		// One above the other, because they may be close, and on the side that has room.
		lx, anchor := mx+3, "start"
		if mx > x+width/2 {
			lx, anchor = mx-3, "end"
		}
		d.label(lx, bottom-5-float64(i)*11, short(m.Name, 20), "class", "small", "text-anchor", anchor)
	}
	// One path holds all marks of a kind: a zero-length line with round ends is a dot. Later kinds lie over earlier ones.
	marks := map[string]*strings.Builder{}
	seen := map[string]bool{}
	for _, s := range cell.Samples {
		kind := markOf(s)
		px, py := at(s.Start), d.y(s.Took, bottom)
		if tail := at(s.Start+s.Took) - px; tail > 4 {
			add(marks, seen, kind.tail(), px, py, "h"+num(math.Round(tail)))
		}
		add(marks, seen, kind, px, py, kind.path())
	}
	for _, kind := range order {
		if path := marks[string(kind)]; path != nil {
			d.tag("path", "class", "s "+string(kind), "d", path.String())
		}
	}
}

// add appends a mark, unless the same mark is at the same pixel already: thousands of samples stay a small picture.
func add(marks map[string]*strings.Builder, seen map[string]bool, kind mark, x, y float64, path string) {
	at := "M" + num(math.Round(x)) + " " + num(math.Round(y)) + path
	if seen[string(kind)+at] {
		return
	}
	seen[string(kind)+at] = true
	if marks[string(kind)] == nil {
		marks[string(kind)] = &strings.Builder{}
	}
	marks[string(kind)].WriteString(at)
}

// mark is the class of a kind of sample.
type mark string

const (
	markFine   mark = "ok"
	markSlow   mark = "hit"
	markFailed mark = "bad"
	// The other probes are company: less loud, and hollow.
	markOther       mark = "ok2"
	markOtherFailed mark = "bad2"
	tailFine        mark = "t-ok"
	tailHit         mark = "t-hit"
)

var order = []mark{tailFine, tailHit, markOther, markOtherFailed, markFine, markSlow, markFailed}

func markOf(s Sample) mark {
	switch {
	case s.Probe > 0 && s.Failed:
		return markOtherFailed
	case s.Probe > 0:
		return markOther
	case s.Failed:
		return markFailed
	case s.Symptom:
		return markSlow
	}
	return markFine
}

// tail is the class of the line that lasts as long as the attempt did.
func (m mark) tail() mark {
	if m == markSlow || m == markFailed || m == markOtherFailed {
		return tailHit
	}
	return tailFine
}

func (m mark) path() string {
	switch m {
	case markSlow:
		return "m0-4.5l4.5 4.5-4.5 4.5-4.5-4.5z"
	case markFailed, markOtherFailed:
		return "m-3.5-3.5l7 7m0-7l-7 7"
	case markOther:
		return "m-2-2h4v4h-4z"
	}
	return "h0"
}
