package plot

import (
	"strconv"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Trend is how numbers of a scenario went from run to run. Runs are equally far apart, whatever time was between them.
type Trend struct {
	// ID makes the ids of elements unique in a page.
	ID string
	// Title and Desc say in words what is drawn.
	Title, Desc string
	// Runs head the horizontal axis, oldest first.
	Runs []TrendRun
	// Panels are below each other and share the horizontal axis.
	Panels []Panel
}

// TrendRun is one position of the horizontal axis.
type TrendRun struct {
	// Label is the day of the run.
	Label string
	// Changed is true if versions differ from the run before.
	Changed bool
}

// Panel is one vertical axis with what belongs to it.
type Panel struct {
	Title string
	// Share is true if values are shares from 0 to 1; otherwise they are seconds.
	Share  bool
	Series []Series
}

// Series is one number over the runs.
type Series struct {
	Name string
	// State is Symptom or Fine: the colour and shape of its marks.
	State  State
	Points []TrendPoint
}

// TrendPoint is the value of one run. Low and High are its interval; they are equal where there is none.
type TrendPoint struct {
	Run           int
	At, Low, High float64
	// Bad is true if the run was not as expected: the mark is a cross.
	Bad bool
}

// Sizes of trends, in pixels.
const (
	trendTitle = 20
	trendPlot  = 84
	trendGap   = 12
	trendAxis  = 22
)

// TrendSVG draws the trend.
func TrendSVG(t Trend, l Layout) string {
	d := &trending{Trend: t, Layout: l}
	if l.Inside {
		d.Left = 40
	} else {
		d.Left = 56
	}
	height := float64(len(t.Panels))*(trendTitle+trendPlot+trendGap) + trendAxis
	id := t.ID + "-" + l.Name
	d.open("svg", "xmlns", "http://www.w3.org/2000/svg", "class", "fig "+l.Name, "viewBox", "0 0 "+num(l.Width)+" "+num(height),
		"role", "img", "aria-labelledby", id+"-t "+id+"-d")
	d.WriteString(`<title id="` + quote(id) + `-t">` + quote(t.Title) + "</title>\n")
	d.WriteString(`<desc id="` + quote(id) + `-d">` + quote(t.Desc) + "</desc>\n")
	y := 0.0
	for _, panel := range t.Panels {
		d.panel(panel, y)
		y += trendTitle + trendPlot + trendGap
	}
	d.axis(y)
	d.close("svg")
	return strings.TrimSuffix(d.String(), "\n")
}

// trending is a trend on its way to SVG.
type trending struct {
	canvas
	Trend
	Layout
}

// x is the middle of a run's place.
func (d *trending) x(run int) float64 {
	return d.Left + (float64(run)+0.5)*(d.Width-d.Left-d.Right)/float64(max(len(d.Runs), 1))
}

func (d *trending) panel(p Panel, y float64) {
	top := y + trendTitle
	bottom := top + trendPlot
	d.label(d.Left, y+13, p.Title, "class", "lane")
	d.legend(p, y)
	d.tag("rect", "class", "cell calm", "x", d.Left, "y", top, "width", d.Width-d.Left-d.Right, "height", bottom-top)
	scale := p.scale()
	at := func(v float64) float64 { return bottom - 6 - scale.At(v)*(trendPlot-12) }
	for _, tick := range scale.Ticks(4) {
		text := units.Seconds(tick)
		if p.Share {
			text = strconv.Itoa(int(100*tick+0.5)) + " %"
		}
		d.tag("line", "class", "grid", "x1", d.Left, "x2", d.Width-d.Right, "y1", at(tick), "y2", at(tick))
		d.label(d.Left-5, at(tick)+3.5, text, "class", "axis", "text-anchor", "end")
	}
	for i, run := range d.Runs {
		if run.Changed {
			d.tag("line", "class", "limit", "x1", d.x(i), "x2", d.x(i), "y1", top, "y2", bottom)
		}
	}
	for _, s := range p.Series {
		d.series(s, at)
	}
}

// series draws the intervals first, then a line through the values, then the marks.
func (d *trending) series(s Series, at func(float64) float64) {
	good, line := markFine, tailFine
	if s.State == Symptom {
		good, line = markSlow, tailHit
	}
	var whiskers, path, marks, bad strings.Builder
	for i, p := range s.Points {
		x, y := num(d.x(p.Run)), num(at(p.At))
		if p.High > p.Low {
			whiskers.WriteString("M" + x + " " + num(at(p.Low)) + "V" + num(at(p.High)))
		}
		step := "L"
		if i == 0 || s.Points[i-1].Run != p.Run-1 {
			step = "M"
		}
		path.WriteString(step + x + " " + y)
		if p.Bad {
			bad.WriteString("M" + x + " " + y + markFailed.path())
		} else {
			marks.WriteString("M" + x + " " + y + good.path())
		}
	}
	for _, one := range []struct {
		kind mark
		path string
	}{{"whisker", whiskers.String()}, {line, path.String()}, {good, marks.String()}, {markFailed, bad.String()}} {
		if one.path != "" {
			d.tag("path", "class", "s "+string(one.kind), "d", one.path)
		}
	}
}

// legend names the series at the right of the panel's title, if there is more than one.
func (d *trending) legend(p Panel, y float64) {
	if len(p.Series) < 2 {
		return
	}
	x := d.Width - d.Right
	for i := len(p.Series) - 1; i >= 0; i-- {
		s := p.Series[i]
		kind := markFine
		if s.State == Symptom {
			kind = markSlow
		}
		// The width of text is not known here; an average is enough to keep entries apart.
		x -= 6.2 * float64(len([]rune(s.Name)))
		d.label(x, y+13, s.Name, "class", "small")
		d.tag("path", "class", "s "+string(kind), "d", "M"+num(x-9)+" "+num(y+9)+kind.path())
		x -= 28
	}
}

// axis labels the first and the last run, and some between them.
func (d *trending) axis(y float64) {
	n := len(d.Runs)
	every := max(1, (n+int((d.Width-d.Left)/d.Tick)-1)/max(1, int((d.Width-d.Left)/d.Tick)))
	for i := n - 1; i >= 0; i -= every {
		x, anchor := d.x(i), "middle"
		if x > d.Width-24 {
			x, anchor = d.Width-d.Right, "end"
		}
		d.label(x, y+4, d.Runs[i].Label, "class", "axis", "text-anchor", anchor)
	}
}

func (p Panel) scale() Scale {
	if p.Share {
		return Linear{0, 1}
	}
	var values []float64
	for _, s := range p.Series {
		for _, point := range s.Points {
			values = append(values, point.At, point.High)
		}
	}
	return Times(values)
}
