package plot

// Layout is the size of things. There are two, because a picture that is made for a desk and scaled to a phone cannot be
// read there.
type Layout struct {
	// Name is the class of the svg element.
	Name string
	// Width of the picture; Left is the space for labels of the vertical axis.
	Width, Left, Right float64
	// Head is the height of the columns' heads.
	Head float64
	// TitleH, PlotH, CounterH, AxisH are the heights of the parts of a row, Gap what is between rows.
	TitleH, PlotH, CounterH, AxisH, Gap float64
	// Pad is the space above the slowest sample, for the cell's label.
	Pad float64
	// Inside puts the names of counters into the rows, where there is no room beside them.
	Inside bool
	// Tick is the space that a label of the time axis needs.
	Tick float64
}

// The layouts.
var (
	Wide   = Layout{Name: "wide", Width: 960, Left: 112, Right: 2, Head: 66, TitleH: 22, PlotH: 84, Pad: 20, CounterH: 29, AxisH: 18, Gap: 14, Tick: 58}
	Narrow = Layout{Name: "narrow", Width: 344, Left: 46, Right: 1, Head: 72, TitleH: 34, PlotH: 78, Pad: 18, CounterH: 31, AxisH: 16, Gap: 14, Tick: 60, Inside: true}
)

// column is the left edge and the width of a column.
func (l Layout) column(i, n int) (x, width float64) {
	width = (l.Width - l.Left - l.Right) / float64(max(n, 1))
	return l.Left + float64(i)*width, width
}

// lane is the height of a row.
func (l Layout) lane(counters int) float64 {
	return l.TitleH + l.Pad + l.PlotH + float64(counters)*l.CounterH + l.AxisH
}

// legend is the height of the legend: one line on a desk, one a series on a phone.
func (l Layout) legend(entries int) float64 {
	if l.Inside {
		return 18 * float64(entries)
	}
	return 24
}
