package plot

import "strings"

// SVG draws the figure.
func SVG(f Figure, l Layout) string {
	d := &drawing{Figure: f, Layout: l, times: Times(f.times()), tops: f.tops(), words: f.legend()}
	height := l.legend(len(d.words)) + l.Head
	for _, lane := range f.Lanes {
		height += l.lane(len(lane.Counters)) + l.Gap
	}
	id := f.ID + "-" + l.Name
	d.open("svg", "xmlns", "http://www.w3.org/2000/svg", "class", "fig "+l.Name, "viewBox", "0 0 "+num(l.Width)+" "+num(height),
		"role", "img", "aria-labelledby", id+"-t "+id+"-d")
	d.WriteString(`<title id="` + quote(id) + `-t">` + quote(f.Title) + "</title>\n")
	d.WriteString(`<desc id="` + quote(id) + `-d">` + quote(f.Desc) + "</desc>\n")
	d.heads()
	y := l.Head
	for _, lane := range f.Lanes {
		d.lane(lane, y)
		y += l.lane(len(lane.Counters)) + l.Gap
	}
	d.key(y)
	d.close("svg")
	return strings.TrimSuffix(d.String(), "\n")
}

// drawing is a figure on its way to SVG.
type drawing struct {
	canvas
	Figure
	Layout
	times Scale
	// tops are the largest values of the counters, by name: rows share a scale.
	tops  map[string]float64
	words []entry
}

func (f Figure) times() []float64 {
	var values []float64
	if f.Limit > 0 {
		// How far the healthy attempts are from the symptom is worth seeing too.
		values = append(values, f.Limit)
	}
	for _, lane := range f.Lanes {
		for _, cell := range lane.Cells {
			for _, s := range cell.Samples {
				values = append(values, s.Took)
			}
		}
	}
	return values
}

func (f Figure) tops() map[string]float64 {
	tops := map[string]float64{}
	for _, lane := range f.Lanes {
		for _, counter := range lane.Counters {
			for _, p := range counter.Points {
				tops[counter.Name] = max(tops[counter.Name], p.V)
			}
		}
	}
	return tops
}
