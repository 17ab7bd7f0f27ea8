package judge

import (
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// record is a history by lanes. Lanes run side by side: nothing here depends on how their events lie between each other.
type record struct {
	lanes map[string]*lane
	// host is the events without a lane.
	host *lane
	logs []history.Event
	// nodes are the node namespaces by lane, all is those of the whole run.
	nodes map[string]map[uint64]bool
	all   map[uint64]bool
}

// lane is what happened in one lane.
type lane struct {
	name   string
	events []history.Event
	stages map[string]*stage
	// changes are what is on at the end.
	changes changes
	prints  []history.Fingerprint
	errors  []string
}

// stage is what happened in one phase of a lane.
type stage struct {
	begun, ended bool
	// began and to are its first and last moment, from is the first at which it could be looked at.
	began, from, to float64
	window          detect.Window
	waits           []history.Wait
	errors          []string
	// changes are what is on at the phase's end.
	changes changes
	prints  []history.Fingerprint
}

func read(events []history.Event, run rundir.Run) *record {
	r := &record{lanes: map[string]*lane{}, nodes: map[string]map[uint64]bool{}, all: map[uint64]bool{}}
	for key, inode := range run.Netns {
		name, place, _ := strings.Cut(key, " ")
		if !strings.HasPrefix(place, "node/") {
			continue
		}
		if r.nodes[name] == nil {
			r.nodes[name] = map[uint64]bool{}
		}
		r.nodes[name][inode], r.all[inode] = true, true
	}
	for _, e := range events {
		if e.Kind == history.KindLog && e.Log != nil && e.Lane == "" {
			r.logs = append(r.logs, e)
			continue
		}
		l := r.lane(e.Lane)
		l.events = append(l.events, e)
	}
	r.host = r.lane("")
	delete(r.lanes, "")
	for _, l := range r.lanes {
		l.follow()
	}
	r.host.follow()
	return r
}

// lane returns the lane of a name; one that the history does not know is empty.
func (r *record) lane(name string) *lane {
	if r.lanes[name] == nil {
		r.lanes[name] = &lane{name: name, stages: map[string]*stage{}, changes: changes{}}
	}
	return r.lanes[name]
}

// follow goes through a lane's events in their order.
func (l *lane) follow() {
	last := "baseline"
	for _, e := range l.events {
		switch {
		case e.Kind == history.PhaseBegin:
			last = e.Phase
			s := l.stage(e.Phase)
			s.begun, s.began = true, e.T
		case e.Kind == history.PhaseEnd:
			s := l.stage(e.Phase)
			s.ended, s.to, s.changes = true, e.T, l.changes.copy()
		case e.Kind == history.KindChange && e.Change != nil:
			l.changes.note(*e.Change)
		case e.Kind == history.KindWait && e.Wait != nil:
			s := l.stage(e.Phase)
			s.waits = append(s.waits, *e.Wait)
		case e.Kind == history.KindFingerprint && e.Fingerprint != nil:
			if e.Phase == "" || e.Phase == "restored" {
				l.prints = append(l.prints, *e.Fingerprint)
			}
		case e.Kind == history.KindError:
			text := e.Text
			if text == "" {
				text = "an error without a message"
			}
			phase := e.Phase
			if phase == "" {
				phase = last
			}
			l.errors = append(l.errors, text)
			l.stage(phase).errors = append(l.stage(phase).errors, text)
		}
	}
}

// stage returns a phase; one that the history does not know was not begun.
func (l *lane) stage(phase string) *stage {
	if l.stages[phase] == nil {
		l.stages[phase] = &stage{changes: changes{}}
	}
	return l.stages[phase]
}

// look collects what was sampled and read in a phase.
func (l *lane) look(p plan.Phase, probe string) *stage {
	phase := p.String()
	s := l.stage(phase)
	s.window = detect.WindowOf(l.events, l.name, phase, probe, p.Proof, nil)
	s.from, _, _ = detect.Span(l.events, l.name, phase)
	if phase == "restored" {
		s.prints = l.prints
		if !s.ended {
			s.changes = l.changes
		}
	}
	return s
}

// pool puts the same phase of several lanes together.
func pool(stages []*stage) *stage {
	all := &stage{begun: true, ended: true, changes: changes{}}
	var windows []detect.Window
	for _, s := range stages {
		all.begun, all.ended = all.begun && s.begun, all.ended && s.ended
		windows = append(windows, s.window)
		all.waits = append(all.waits, s.waits...)
		all.errors = append(all.errors, s.errors...)
		all.prints = append(all.prints, s.prints...)
		for key, state := range s.changes {
			if all.changes[key] == nil || state.on {
				all.changes[key] = state
			}
		}
	}
	all.window = detect.Merge(windows...)
	return all
}
