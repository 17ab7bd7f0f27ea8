package results

import (
	"slices"
	"sort"
	"strings"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// times reads from a history how long things took.
type times struct {
	scenario *scenario.Scenario
	offered  func(string) bool
	// phases are the events of each phase of each lane, in their order, logs that no phase has are with their lane.
	phases map[[2]string][]history.Event
	// lanes are the names of lanes by variant, in order.
	lanes map[string][]string
}

func newTimes(f Folder) *times {
	t := &times{
		scenario: f.Scenario, offered: func(need string) bool { return f.Run.Offers[need].OK },
		phases: map[[2]string][]history.Event{}, lanes: map[string][]string{},
	}
	for _, e := range f.Events {
		variant, _, ok := strings.Cut(e.Lane, "/")
		if !ok {
			continue
		}
		if !slices.Contains(t.lanes[variant], e.Lane) {
			t.lanes[variant] = append(t.lanes[variant], e.Lane)
		}
		k := [2]string{e.Lane, e.Phase}
		t.phases[k] = append(t.phases[k], e)
	}
	return t
}

// took is how long the longest lane of a variant was, in seconds.
func (t *times) took(variant string) float64 {
	longest := 0.0
	for _, lane := range t.lanes[variant] {
		first, last := -1.0, 0.0
		for k, events := range t.phases {
			if k[0] == lane && len(events) > 0 {
				if from := events[0].T; first < 0 || from < first {
					first = from
				}
				last = max(last, events[len(events)-1].T)
			}
		}
		longest = max(longest, last-max(first, 0))
	}
	return longest
}

// phase sums up a phase.
func (t *times) phase(variant string, judged judge.Phase) Phase {
	p := Phase{Name: judged.Name, Outcome: judged.Outcome}
	if s := judged.Symptom; s != nil {
		p.Symptom = &Sighting{s.Says, s.Hits, s.Trials, s.Failed, s.Missed}
	}
	for _, c := range judged.Checks {
		if !c.OK {
			p.Why = short(c.What + ": " + c.Seen)
			break
		}
	}
	for id, s := range judged.Probes {
		if p.Probes == nil {
			p.Probes = map[string]Samples{}
		}
		p.Probes[id] = Samples{s.Count, s.Failed, rounded(s.P50), rounded(s.P99), rounded(s.Max)}
	}
	var recoveries []float64
	after := map[string][]float64{}
	for _, l := range t.shared(variant, judged.Name) {
		w := t.window(variant, l, judged.Name)
		p.Took = max(p.Took, w.ended-w.began)
		if seconds, ok := w.recovery(); ok {
			recoveries = append(recoveries, seconds)
		}
		for _, d := range w.detectors {
			if seconds, ok := w.detection(d); ok && judged.Detectors[d.ID].Fired {
				after[d.ID] = append(after[d.ID], seconds)
			}
		}
	}
	p.Took = rounded(p.Took)
	p.Recovery = medianOf(recoveries)
	for id, d := range judged.Detectors {
		if p.Detectors == nil {
			p.Detectors = map[string]Detected{}
		}
		kept := Detected{Says: Quiet}
		switch {
		case d.Fired:
			kept.Says, kept.After = Fired, medianOf(after[id])
		case d.Blind:
			kept.Says = Blind
		}
		if d.Expected != nil {
			kept.Expected = map[bool]string{true: Fired, false: Quiet}[*d.Expected]
		}
		if kept.Expected != "" && kept.Says != kept.Expected {
			kept.Seen = short(d.Text)
		}
		p.Detectors[id] = kept
	}
	return p
}

// shared lists the lanes that went through a phase.
func (t *times) shared(variant, phase string) []string {
	var lanes []string
	for _, lane := range t.lanes[variant] {
		if slices.ContainsFunc(t.phases[[2]string{lane, phase}], func(e history.Event) bool { return e.Kind == history.PhaseBegin }) {
			lanes = append(lanes, lane)
		}
	}
	return lanes
}

func medianOf(numbers []float64) *float64 {
	if len(numbers) == 0 {
		return nil
	}
	slices.Sort(numbers)
	n := rounded((numbers[(len(numbers)-1)/2] + numbers[len(numbers)/2]) / 2)
	return &n
}

// window is one phase of one lane.
type window struct {
	events []history.Event
	// began, changed and ended are when the phase began, when the last change in it was made, and when it ended.
	began, changed, ended float64
	lane, phase           string
	variant               *scenario.Variant
	plan                  *plan.Phase
	detectors             []scenario.Detector
}

func (t *times) window(variant, lane, phase string) window {
	w := window{events: t.phases[[2]string{lane, phase}], lane: lane, phase: phase}
	w.began = w.events[0].T
	w.changed, w.ended = w.began, w.events[len(w.events)-1].T
	for _, e := range w.events {
		switch e.Kind {
		case history.KindChange:
			w.changed = max(w.changed, e.T)
		case history.PhaseEnd:
			w.ended = e.T
		}
	}
	if t.scenario == nil {
		return w
	}
	at := slices.IndexFunc(t.scenario.Variants, func(v scenario.Variant) bool { return v.ID == variant })
	if at < 0 {
		return w
	}
	w.variant = &t.scenario.Variants[at]
	for _, l := range plan.Lanes(t.scenario, w.variant, plan.Repaired(w.variant, t.offered)) {
		for i, p := range l.Phases {
			if l.Name == lane && p.String() == phase {
				w.plan = &l.Phases[i]
			}
		}
	}
	// What lines of logs without a phase belong to is known by their time.
	for _, e := range t.phases[[2]string{lane, ""}] {
		if e.Kind == history.KindLog && e.T >= w.began && e.T <= w.ended {
			e.Phase = phase
			w.events = append(w.events, e)
		}
	}
	slices.SortStableFunc(w.events, func(a, b history.Event) int {
		switch {
		case a.T < b.T:
			return -1
		case a.T > b.T:
			return 1
		}
		return 0
	})
	w.detectors = plan.Detectors(t.scenario, w.variant, t.offered)
	return w
}

// recovery is how long it took from the last change until the symptom's probe was well: to the end of the first attempt after which none
// shows the symptom. It is not known in phases that are to show the failure, and if the last attempt shows it.
func (w window) recovery() (seconds float64, ok bool) {
	if w.variant == nil || w.plan == nil || w.plan.Kind != "remedy" && w.plan.Kind != "restored" {
		return 0, false
	}
	for _, e := range slices.Backward(w.events) {
		if e.Kind != history.KindSample || e.Sample == nil || e.Sample.Probe != w.variant.Symptom.Probe {
			continue
		}
		if judge.Shows(w.variant.Symptom.Attempt, *e.Sample) {
			break
		}
		seconds, ok = max(0, e.T-w.changed), true
	}
	return seconds, ok
}

// detection is how long it took from the last change until a detector fired: the first moment from which it would have fired, if the phase had
// ended then. It decides by what had been read and sampled by then. The kernel's log is of all lanes and is left out.
func (w window) detection(d scenario.Detector) (seconds float64, ok bool) {
	detector, known := d.Use.Config.(detect.Detector)
	if _, wide := d.Use.Config.(detect.HostWide); !known || wide || w.plan == nil {
		return 0, false
	}
	fires := func(n int) bool { return detector.Decide(w.until(n)).Fired }
	if !fires(len(w.events)) {
		return 0, false
	}
	// Detectors that fire stay so, as far as it matters: the moment is found by bisection.
	n := sort.Search(len(w.events), func(n int) bool { return fires(n) })
	if n == 0 {
		return 0, true
	}
	return max(0, w.events[n-1].T-w.changed), true
}

// until is what a detector would have decided by, had the phase ended after the first n events: the last readings are those at the end.
func (w window) until(n int) detect.Window {
	events := slices.Clone(w.events[:n])
	ended := map[[2]string]bool{}
	at := w.began
	for i, e := range slices.Backward(events) {
		at = max(at, e.T)
		if e.Kind == history.PhaseEnd {
			events[i].Kind = history.KindNote
		}
		if e.Kind != history.KindReading || e.Reading == nil {
			continue
		}
		k := [2]string{e.Reading.Reader, e.Reading.On}
		if !ended[k] && e.Reading.At != "begin" {
			ended[k] = true
			last := *e.Reading
			last.At = "end"
			events[i].Reading = &last
		}
	}
	events = append(events, history.Event{T: at, Lane: w.lane, Phase: w.phase, Kind: history.PhaseEnd})
	return detect.WindowOf(events, w.lane, w.phase, w.variant.Symptom.Probe, w.plan.Proof, nil)
}
