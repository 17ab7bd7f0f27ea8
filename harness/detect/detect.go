// Package detect decides, from what was recorded in one phase, whether a documented way to see a failure sees it, and
// whether the bounds that a scenario sets on readings and probes hold. It is pure: no clock, no I/O, no randomness.
//
// # What a history must hold
//
//   - A phase lies between a phase-begin and a phase-end event with its lane and name.
//   - Samples and readings carry the lane and phase they belong to.
//   - Every reader is read at every place twice in a phase: At "begin", after the changes of the phase are made and its waits
//     are over, and At "end", after the last attempt. A rise is the difference; nothing is taken to have started at zero.
//     Readings with At empty are for people to look at and decide nothing.
//   - A reading names its concrete place (node/node-1, pod/client-7d4f) and, in For, the scenario's selectors that cover it.
//   - A line of the kernel's log belongs to the phases during which it was seen, from their begin readings to their end,
//     whatever lane it is noted under: the kernel has one log.
package detect

import (
	"slices"

	"github.com/relapse-k8s/relapse/clusters/logs"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Detector is one documented way to see a failure. Its fields are its settings in scenario files. A detector may also have
// a method Validate() error, which a scenario's loader calls.
type Detector interface {
	Decide(w Window) Result
}

// HostWide is implemented by a detector of something that the machine has only once, such as the kernel's log. It decides once for all
// lanes of a phase, not lane by lane.
type HostWide interface {
	Detector
	HostWide()
}

// Result is a detector's decision on a window.
type Result struct {
	// Fired says whether it sees the failure.
	Fired bool
	// Reading is the number that it decided by.
	Reading float64
	// Text is the reading in words.
	Text string
	// Blind is true if there was no data to decide on. A blind detector has not fired, but it was not quiet either.
	Blind bool
	// Wavers is true if it would have fired at some readings and not at others. The last one decides.
	Wavers bool
}

var (
	_ Detector = (*Counter)(nil)
	_ Detector = (*Latency)(nil)
	_ HostWide = (*KernelLog)(nil)

	_ scenario.LogReader = (*KernelLog)(nil)
	_ scenario.LogReader = (*Log)(nil)
)

// Window is what was recorded in one phase of one lane, or of several lanes together.
type Window struct {
	// Attempts is the number of trials: attempts of the symptom's probe that the fault met.
	Attempts int
	// Counters are the readings at the phase's begin and end, one entry for each lane, reader and place.
	Counters []Counters
	// Samples are the attempts of all probes, but of the symptom's probe only the trials; Missed are the others.
	Samples, Missed []history.Sample
	// Logs are the lines of logs seen in the phase.
	Logs []logs.Line
	// Nodes holds the inodes of the run's node namespaces, by which a kernel log line is told from a stranger's.
	Nodes map[uint64]bool
}

// Counters is what one reader saw at one place. Begin or End is nil if it was not read.
type Counters struct {
	Reader     string
	On         string
	For        []string
	Begin, End map[string]float64
	// Readings are all of the phase, in order.
	Readings []map[string]float64
}

// All returns the window with every attempt, whether or not the fault met it.
func (w Window) All() Window {
	w.Samples = slices.Concat(w.Samples, w.Missed)
	w.Missed = nil
	return w
}

// Merge joins the windows of several lanes: samples are pooled, counters are kept separately and added up later.
func Merge(windows ...Window) Window {
	var all Window
	for _, w := range windows {
		all.Attempts += w.Attempts
		all.Counters = append(all.Counters, w.Counters...)
		all.Samples = append(all.Samples, w.Samples...)
		all.Missed = append(all.Missed, w.Missed...)
		all.Logs = append(all.Logs, w.Logs...)
		for inode := range w.Nodes {
			if all.Nodes == nil {
				all.Nodes = map[uint64]bool{}
			}
			all.Nodes[inode] = true
		}
	}
	return all
}
