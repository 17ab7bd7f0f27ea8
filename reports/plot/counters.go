package plot

import (
	"math"
	"strings"
)

// counter draws one number over the time of a lane as a step line, with what it did in each phase in words.
func (d *drawing) counter(lane Lane, counter Counter, y float64) {
	// What it did is written above the line and not over it.
	line, bottom := y+15, y+d.CounterH-3
	for i, cell := range lane.Cells {
		x, width := d.place(lane, i)
		d.tag("rect", "class", "cell "+string(cell.Tone)+" count", "x", x+1, "y", y, "width", width-2, "height", d.CounterH)
		if path := d.steps(cell, counter, x, width, line, bottom); path != "" {
			d.tag("path", "class", "step", "d", path)
		}
		class := "rise"
		if i < len(counter.Moved) && counter.Moved[i] {
			class = "rise moved"
		}
		if i < len(counter.Texts) {
			d.label(x+width-5, y+11, counter.Texts[i], "class", class, "text-anchor", "end")
		}
	}
	if d.Inside {
		d.label(0, y+11, short(counter.Name, 15), "class", "name")
		return
	}
	d.label(d.Left-5, bottom-2, short(counter.Name, 16), "class", "name", "text-anchor", "end")
}

// steps is the path of a counter through one cell.
func (d *drawing) steps(cell Cell, counter Counter, x, width, top, bottom float64) string {
	span := Linear{cell.Begin, cell.End}
	scale := Linear{0, d.tops[counter.Name]}
	at := func(p Point) (float64, float64) {
		return math.Round(x + 1 + span.At(p.T)*(width-2)), math.Round((bottom-scale.At(p.V)*(bottom-top))*2) / 2
	}
	var path strings.Builder
	lastX, lastY := 0.0, 0.0
	before := -1
	for i, p := range counter.Points {
		if p.T <= cell.Begin {
			before = i
		}
	}
	start := func(p Point) {
		px, py := at(p)
		path.WriteString("M" + num(px) + " " + num(py))
		lastX, lastY = px, py
	}
	if before >= 0 {
		start(Point{cell.Begin, counter.Points[before].V})
	}
	for _, p := range counter.Points {
		if p.T <= cell.Begin || p.T > cell.End {
			continue
		}
		if path.Len() == 0 {
			start(p)
			continue
		}
		px, py := at(p)
		if py == lastY {
			continue
		}
		// Across, then up: the number was the old one until it was read anew. Several steps in one pixel are one step.
		if px != lastX {
			path.WriteString("H" + num(px))
		}
		path.WriteString("V" + num(py))
		lastX, lastY = px, py
	}
	if path.Len() > 0 {
		if end := math.Round(x + width - 1); end > lastX {
			path.WriteString("H" + num(end))
		}
	}
	return path.String()
}

// short cuts a name that is too long for its place.
func short(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
