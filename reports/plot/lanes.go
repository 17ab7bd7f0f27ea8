package plot

import (
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// lane draws one row whose top is at y.
func (d *drawing) lane(lane Lane, y float64) {
	d.open("g")
	title := lane.Title
	if d.Inside {
		d.label(0, y+13, short(title, 44), "class", "lane")
		d.label(0, y+27, short(lane.Note, 52), "class", "small")
	} else {
		// The note is in a smaller type, and more worth than the end of a long title.
		title = short(title, 108-4*utf8.RuneCountInString(lane.Note)/5)
		d.WriteString(`<text class="lane" x="` + num(d.Left) + `" y="` + num(y+15) + `">` + quote(title) +
			`<tspan class="small" dx="8">` + quote(lane.Note) + "</tspan></text>\n")
	}
	top := y + d.TitleH
	bottom := top + d.Pad + d.PlotH
	d.scale(bottom)
	for i, cell := range lane.Cells {
		x, width := d.place(lane, i)
		d.cell(cell, x, width, top, bottom)
	}
	for i, counter := range lane.Counters {
		d.counter(lane, counter, bottom+float64(i)*d.CounterH)
	}
	end := bottom + float64(len(lane.Counters))*d.CounterH
	for i, cell := range lane.Cells {
		x, width := d.place(lane, i)
		d.clock(cell, x, width, end)
	}
	d.close("g")
}

// place is where a cell lies. Where a lane has several phases of a kind they share the column.
func (d *drawing) place(lane Lane, i int) (x, width float64) {
	before, all := 0, 0
	for j, cell := range lane.Cells {
		if cell.Column == lane.Cells[i].Column {
			all++
			if j < i {
				before++
			}
		}
	}
	x, width = d.column(lane.Cells[i].Column, len(d.Columns))
	width /= float64(all)
	return x + float64(before)*width, width
}

// scale labels the vertical axis.
func (d *drawing) scale(bottom float64) {
	for _, t := range d.times.Ticks(5) {
		d.label(d.Left-5, d.y(t, bottom)+3.5, units.Seconds(t), "class", "axis", "text-anchor", "end")
	}
}

// grid draws the vertical axis' lines through a cell.
func (d *drawing) grid(x, width, bottom float64) {
	for _, t := range d.times.Ticks(5) {
		y := d.y(t, bottom)
		d.tag("line", "class", "grid", "x1", x+1, "x2", x+width-1, "y1", y, "y2", y)
	}
	if d.Limit > 0 {
		y := d.y(d.Limit, bottom)
		d.tag("line", "class", "limit", "x1", x+1, "x2", x+width-1, "y1", y, "y2", y)
	}
}

// y is where a time lies in a row whose lower edge is given.
func (d *drawing) y(took, bottom float64) float64 {
	// Marks are some pixels high: those at the bottom of the scale must not reach into the counters.
	const inset = 5
	return bottom - inset - d.times.At(took)*(d.PlotH-inset)
}

// clock draws the time axis of one cell.
func (d *drawing) clock(cell Cell, x, width, y float64) {
	d.tag("line", "class", "base", "x1", x+1, "x2", x+width-1, "y1", y, "y2", y)
	span := Linear{cell.Begin, cell.End}
	n := max(1, int(width/d.Tick))
	ticks := span.Ticks(n)
	if len(ticks) == 0 || (n == 1 && len(ticks) > 1) {
		ticks = ticks[:min(len(ticks), 1)]
	}
	labels := clock(ticks)
	for i, t := range ticks {
		tx := x + span.At(t)*width
		d.tag("line", "class", "base", "x1", tx, "x2", tx, "y1", y, "y2", y+4)
		anchor := "middle"
		if tx < x+14 {
			anchor, tx = "start", x+1
		} else if tx > x+width-14 {
			anchor, tx = "end", x+width-1
		}
		d.label(tx, y+14, labels[i], "class", "axis", "text-anchor", anchor)
	}
}
