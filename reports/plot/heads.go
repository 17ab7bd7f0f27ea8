package plot

// heads draws the strip that tells the story at a glance: what was seen in each kind of phase, and whether it was expected.
func (d *drawing) heads() {
	for i, column := range d.Columns {
		x, width := d.column(i, len(d.Columns))
		tx := x + 8
		if d.Inside {
			tx = x + 3
		}
		d.tag("rect", "class", "head "+string(column.State), "x", x+1, "y", 0.0, "width", width-2, "height", d.Head-8)
		d.tag("rect", "class", "bar "+string(column.State), "x", x+1, "y", 0.0, "width", width-2, "height", 3.0)
		d.label(tx, 17, column.Name, "class", "phase")
		word := glyph[column.State] + " " + column.Word
		judged := "small"
		if column.Wrong {
			judged = "small wrong"
		}
		if d.Inside {
			d.label(tx, 33, word, "class", "word "+string(column.State))
			d.label(tx, 46, column.Number, "class", "small")
			d.label(tx, 59, column.Mark, "class", judged)
			continue
		}
		if column.Number != "" {
			word += "  " + column.Number
		}
		d.label(tx, 35, word, "class", "word "+string(column.State))
		d.label(tx, 51, column.Mark+" "+column.Judged, "class", judged)
	}
	if !d.Inside {
		d.label(d.Left-10, 17, "phase", "class", "axis", "text-anchor", "end")
		d.label(d.Left-10, 35, "seen", "class", "axis", "text-anchor", "end")
		d.label(d.Left-10, 51, "judged", "class", "axis", "text-anchor", "end")
	}
}

// glyph is the shape that goes with a state, the same as the samples have.
var glyph = map[State]string{Fine: "●", Symptom: "◆", Partly: "◐", Unknown: "–"}
