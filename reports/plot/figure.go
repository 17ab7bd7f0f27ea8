// Package plot draws the picture of a run as SVG: for each lane the attempts of the probes over time, the phases behind
// them and the kernel's counters beneath, all on one time axis. It knows nothing of scenarios and verdicts, has no clock
// and no randomness: the same figure always gives the same bytes. Colours come from the page's style sheet, so that one
// picture serves light, dark and print; shape and words say the same as colour.
package plot

// State is what was seen, apart from whether it was expected.
type State string

// The states.
const (
	// Fine is a healthy attempt or phase.
	Fine State = "fine"
	// Symptom is one that shows the failure.
	Symptom State = "symptom"
	// Partly is a phase that is neither.
	Partly State = "partly"
	// Unknown is a phase without attempts.
	Unknown State = "unknown"
)

// Tone is what a phase is shaded as.
type Tone string

// The tones.
const (
	Calm   Tone = "calm"
	Faulty Tone = "faulty"
	Cured  Tone = "cured"
)

// Figure is the picture of one variant.
type Figure struct {
	// ID makes the ids of elements unique in a page.
	ID string
	// Title and Desc say in words what is drawn.
	Title, Desc string
	// Columns are the kinds of phases, in the order of time.
	Columns []Column
	// Lanes are the rows.
	Lanes []Lane
	// Probes name the series of samples; the first is the one that notices the symptom.
	Probes []string
	// Good and Bad are the words of the legend for the first probe's attempts.
	Good, Bad string
	// Limit is the time from which an attempt shows the symptom, or 0.
	Limit float64
}

// Column heads a kind of phase: the story at a glance.
type Column struct {
	// Name of the phase: fault.
	Name string
	// State, Word and Number are what was seen in it: slow, 5.01 s.
	State        State
	Word, Number string
	// Mark and Judged say whether it was as expected: ✓, as expected.
	Mark, Judged string
	// Wrong is true if it was not as expected.
	Wrong bool
}

// Lane is one row.
type Lane struct {
	Title string
	// Note is beside the title, less loud.
	Note     string
	Cells    []Cell
	Counters []Counter
}

// Cell is one phase of a lane. Times are in seconds since the lane's start.
type Cell struct {
	// Column is the index of the column.
	Column int
	Name   string
	Tone   Tone
	// Begin and End of the phase; End includes what was done on the way to the next one.
	Begin, End float64
	// Cut is true if the lane ended inside the phase.
	Cut bool
	// Label says how the attempts went; Short says it on a narrow screen.
	Label, Short string
	State        State
	Samples      []Sample
	Moments      []Moment
}

// Moment is when something was changed while samples were taken, in seconds since the lane's start.
type Moment struct {
	T    float64
	Name string
}

// Sample is one attempt.
type Sample struct {
	// Probe is the index of the series.
	Probe int
	// Start is in seconds since the lane's start; Took is in seconds.
	Start, Took float64
	Failed      bool
	// Symptom is true if the attempt shows the failure.
	Symptom bool
}

// Counter is a number that an agent read over and over.
type Counter struct {
	Name string
	// Points are in the order of time.
	Points []Point
	// Texts say what it did in each cell: "+25".
	Texts []string
	// Moved says which cells it moved in.
	Moved []bool
}

// Point is a value at a time in seconds since the lane's start.
type Point struct{ T, V float64 }
