package detect

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// WindowOf collects the events of one phase of one lane from a history. Probe is the symptom's probe, of whose attempts those are trials
// that every change met whose proof is counted per attempt; nodes are the inodes of the run's node namespaces.
func WindowOf(events []history.Event, lane, phase, probe string, proof []scenario.ReadingExpectation, nodes map[uint64]bool) Window {
	w := Window{Nodes: nodes}
	var attempts []attempt
	met := map[string][]history.Meeting{}
	for _, e := range events {
		if e.Lane != lane || e.Phase != phase {
			continue
		}
		switch {
		case e.Kind == history.KindSample && e.Sample != nil && e.Sample.Probe == probe:
			one := attempt{*e.Sample, e.T, map[string]bool{}}
			one.Lane = lane
			attempts = append(attempts, one)
		case e.Kind == history.KindSample && e.Sample != nil:
			sample := *e.Sample
			sample.Lane = lane
			w.Samples = append(w.Samples, sample)
		case e.Kind == history.KindMet && e.Met != nil:
			met[e.Met.ID] = append(met[e.Met.ID], e.Met.Flows...)
		case e.Kind == history.KindReading && e.Reading != nil:
			w.add(*e.Reading)
		}
	}
	trials, missed := split(attempts, meeters(proof), met)
	w.Attempts, w.Samples, w.Missed = len(trials), append(w.Samples, trials...), missed
	if from, to, ok := Span(events, lane, phase); ok {
		for _, e := range events {
			if e.Kind == history.KindLog && e.Log != nil && (e.Lane == "" || e.Lane == lane) && e.T >= from && e.T <= to {
				w.Logs = append(w.Logs, *e.Log)
			}
		}
	}
	return w
}

// Span returns when one phase of one lane could first and last be looked at: from its last begin reading, because before
// that its changes are still being made, to its end. A phase that did not end has no span.
func Span(events []history.Event, lane, phase string) (from, to float64, ok bool) {
	begun := false
	for _, e := range events {
		if e.Lane != lane || e.Phase != phase {
			continue
		}
		switch {
		case e.Kind == history.PhaseBegin:
			begun, from = true, max(from, e.T)
		case e.Kind == history.KindReading && e.Reading != nil && e.Reading.At == "begin":
			from = max(from, e.T)
		case e.Kind == history.PhaseEnd:
			to, ok = e.T, true
		}
	}
	return from, to, ok && begun
}

// add stores a reading. Of several at the begin the first counts, of several at the end the last.
func (w *Window) add(r history.Reading) {
	i := slices.IndexFunc(w.Counters, func(c Counters) bool { return c.Reader == r.Reader && c.On == r.On })
	if i < 0 {
		i = len(w.Counters)
		w.Counters = append(w.Counters, Counters{Reader: r.Reader, On: r.On})
	}
	c := &w.Counters[i]
	for _, selector := range r.For {
		if !slices.Contains(c.For, selector) {
			c.For = append(c.For, selector)
		}
	}
	c.Readings = append(c.Readings, r.Values)
	switch {
	case r.At == "begin" && c.Begin == nil:
		c.Begin = r.Values
	case r.At == "end":
		c.End = r.Values
	}
}
