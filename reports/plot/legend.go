package plot

import "github.com/relapse-k8s/relapse/clusters/agent/units"

// entry is one mark of the legend.
type entry struct {
	kind mark
	text string
}

// legend lists the marks that the figure really has.
func (f Figure) legend() []entry {
	used := map[mark]bool{}
	for _, lane := range f.Lanes {
		for _, cell := range lane.Cells {
			for _, s := range cell.Samples {
				used[markOf(s)] = true
			}
		}
	}
	first, others := "attempt", ""
	if len(f.Probes) > 0 {
		first = f.Probes[0]
		for i, name := range f.Probes[1:] {
			if i > 0 {
				others += ", "
			}
			others += name
		}
	}
	var entries []entry
	for _, e := range []entry{
		{markFine, first + ": " + f.Good},
		{markSlow, first + ": " + f.Bad},
		{markFailed, first + ": failed"},
		{markOther, others + ": ok"},
		{markOtherFailed, others + ": failed"},
	} {
		if used[e.kind] {
			entries = append(entries, e)
		}
	}
	if f.Limit > 0 {
		entries = append(entries, entry{"limit", "symptom from " + units.Seconds(f.Limit)})
	}
	return entries
}

// key draws the legend.
func (d *drawing) key(y float64) {
	x := d.Left
	if d.Inside {
		x = 0
	}
	for i, e := range d.words {
		if d.Inside && i > 0 {
			y += 18
		}
		if e.kind == "limit" {
			d.tag("line", "class", "limit", "x1", x, "x2", x+14, "y1", y+8, "y2", y+8)
		} else {
			d.tag("path", "class", "s "+string(e.kind), "d", "M"+num(x+7)+" "+num(y+8)+e.kind.path())
		}
		d.label(x+20, y+12, e.text, "class", "small")
		if !d.Inside {
			// The width of text is not known here; an average is enough to keep entries apart.
			x += 44 + 6.2*float64(len([]rune(e.text)))
		}
	}
}
