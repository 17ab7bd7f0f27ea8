package reports

import (
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/history"
)

// lane is one cluster's way through its phases, taken from the history.
type lane struct {
	// Name is variant/branch.
	Name string
	// Start is when its first phase began, in seconds since the run's start.
	Start  float64
	Phases []lanePhase
	// Readings that the lane made, in the order of time.
	Readings []timed
}

type timed struct {
	T     float64
	Phase string
	history.Reading
}

type lanePhase struct {
	Name string
	// Begin and End are in seconds since the lane's start. End is where the next phase begins: undoing and waiting in
	// between belong to the picture.
	Begin, End float64
	// Cut is true if no end was recorded.
	Cut     bool
	Samples []history.Sample
	// Moments are the changes that were made while samples were taken.
	Moments []moment
	// observed is true from the first reading at its begin.
	observed bool
}

// moment is when a change was made, in seconds since the lane's start.
type moment struct {
	T  float64
	ID string
}

// variant is the part of a lane's name before the slash.
func variantOf(lane string) string {
	name, _, _ := strings.Cut(lane, "/")
	return name
}

// branch is the part after it.
func branchOf(lane string) string {
	_, name, _ := strings.Cut(lane, "/")
	return name
}

// lanes sorts events by lane, in the order in which lanes appear.
func (d Data) lanes() []lane {
	var lanes []lane
	index := map[string]int{}
	for _, e := range d.Events {
		if e.Lane == "" {
			continue
		}
		i, known := index[e.Lane]
		if !known {
			i = len(lanes)
			index[e.Lane] = i
			lanes = append(lanes, lane{Name: e.Lane, Start: -1})
		}
		lanes[i].add(e)
	}
	lanes = slices.DeleteFunc(lanes, func(l lane) bool { return len(l.Phases) == 0 })
	for i := range lanes {
		lanes[i].finish()
	}
	return lanes
}

func (l *lane) add(e history.Event) {
	switch {
	case e.Kind == history.PhaseBegin:
		if l.Start < 0 {
			l.Start = e.T
		}
		l.Phases = append(l.Phases, lanePhase{Name: e.Phase, Begin: e.T, End: e.T, Cut: true})
		return
	case e.Reading != nil:
		l.Readings = append(l.Readings, timed{e.T, e.Phase, *e.Reading})
	}
	phase := l.phase(e.Phase)
	if phase == nil {
		return
	}
	phase.End = max(phase.End, e.T)
	if e.Kind == history.PhaseEnd {
		phase.Cut = false
	}
	switch c := e.Change; {
	case e.Reading != nil && e.Reading.At == "begin":
		phase.observed = true
	case c != nil && phase.observed && c.Error == "" && !slices.ContainsFunc(phase.Moments, func(m moment) bool { return m.ID == c.ID }):
		phase.Moments = append(phase.Moments, moment{e.T, c.ID})
	}
	if e.Sample != nil {
		phase.Samples = append(phase.Samples, *e.Sample)
	}
}

// phase finds the last phase of that name.
func (l *lane) phase(name string) *lanePhase {
	for i := len(l.Phases) - 1; i >= 0; i-- {
		if l.Phases[i].Name == name {
			return &l.Phases[i]
		}
	}
	return nil
}

// finish makes times relative to the lane's start and phases adjoin.
func (l *lane) finish() {
	for i := range l.Phases {
		p := &l.Phases[i]
		if i+1 < len(l.Phases) {
			p.End = l.Phases[i+1].Begin
			// A later phase began, so this one did end.
			p.Cut = false
		}
	}
	for i := range l.Phases {
		p := &l.Phases[i]
		p.Begin -= l.Start
		p.End -= l.Start
		for j := range p.Samples {
			p.Samples[j].Start -= l.Start
		}
		for j := range p.Moments {
			p.Moments[j].T -= l.Start
		}
	}
	for i := range l.Readings {
		l.Readings[i].T -= l.Start
	}
}
