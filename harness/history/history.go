// Package history is the append-only record of a run: everything that was done and seen, as it happens, one JSON object a
// line. Judging reads nothing else, so that an old run can be judged again.
package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// Kinds of events.
const (
	// PhaseBegin and PhaseEnd enclose a phase of a lane.
	PhaseBegin = "phase-begin"
	PhaseEnd   = "phase-end"
	// KindSample is one attempt of a probe.
	KindSample = "sample"
	// KindReading is what a reader saw at a place.
	KindReading = "reading"
	// KindChange is a change being made or undone.
	KindChange = "change"
	// KindWait is the end of a wait: what was waited for, and whether it came.
	KindWait = "wait"
	// KindLog is a line of a log: the kernel's or a program's.
	KindLog = "log"
	// KindEvidence is a documented command's output, kept in the evidence folder.
	KindEvidence = "evidence"
	// KindFingerprint is the comparison of a fingerprint with the first one.
	KindFingerprint = "fingerprint"
	// KindError is something that kept a lane from going on; the run is inconclusive.
	KindError = "error"
	// KindNote is anything else worth knowing.
	KindNote = "note"
)

// Event is one line of a history. T and Kind are always there; the rest depends on the kind.
type Event struct {
	// T is the time since the start of the run, in seconds.
	T float64 `json:"t"`
	// Lane is the lab that it happened in: variant/branch, such as forced/use-vc, where the branch is a remedy's or control's
	// id. It is empty for what concerns the whole run or the host.
	Lane string `json:"lane,omitempty"`
	// Phase that the lane was in.
	Phase string `json:"phase,omitempty"`
	Kind  string `json:"kind"`

	Sample      *Sample      `json:"sample,omitempty"`
	Reading     *Reading     `json:"reading,omitempty"`
	Change      *Change      `json:"change,omitempty"`
	Wait        *Wait        `json:"wait,omitempty"`
	Log         *Log         `json:"log,omitempty"`
	Evidence    *Evidence    `json:"evidence,omitempty"`
	Fingerprint *Fingerprint `json:"fingerprint,omitempty"`
	// Text is the message of errors and notes.
	Text string `json:"text,omitempty"`
}

// Sample is one attempt of a probe.
type Sample struct {
	Probe string `json:"probe"`
	// Start is when the attempt began, in seconds since the start of the run; Event.T is when it ended.
	Start float64 `json:"start"`
	// Took is how long it took, in seconds.
	Took float64 `json:"took"`
	// Error is empty where the attempt succeeded.
	Error string `json:"error,omitempty"`
	// Detail is what was seen: addresses, a status line.
	Detail string `json:"detail,omitempty"`
}

// Reading is the numbers that a reader saw at one place.
type Reading struct {
	// Reader is the reader's name: conntrack, or change/ID.
	Reader string `json:"reader"`
	// On is the place: node/node-1, pod/client, outside, host.
	On string `json:"on"`
	// For lists the selectors of the scenario that cover this place: nodes, node-of/client, pod/client.
	For []string `json:"for,omitempty"`
	// At is begin or end (of the phase), or empty in between.
	At     string             `json:"at,omitempty"`
	Values map[string]float64 `json:"values"`
}

// Change is a step of the fault, a remedy or a control.
type Change struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	On   string `json:"on"`
	// Action is apply or undo.
	Action string `json:"action"`
	Error  string `json:"error,omitempty"`
}

// Wait is the end of a wait for readings.
type Wait struct {
	For string `json:"for"`
	// Last is the last thing seen.
	Last string `json:"last"`
	// Took is in seconds.
	Took float64 `json:"took"`
	OK   bool    `json:"ok"`
}

// Log is a line of a log.
type Log struct {
	// Source is kernel, or the program's name.
	Source string `json:"source"`
	On     string `json:"on,omitempty"`
	Line   string `json:"line"`
	// Event is the name of the known message that the line is, such as conntrack-table-full; else empty.
	Event string `json:"event,omitempty"`
	// Netns is the inode of the network namespace that the line names, or 0.
	Netns uint64 `json:"netns,omitempty"`
	// Fields are what the line says, by name: direction, pod, policy.
	Fields map[string]string `json:"fields,omitempty"`
}

// Evidence is the output of a documented command, or a capture.
type Evidence struct {
	// Title is the command as typed, or what the capture holds.
	Title string `json:"title"`
	On    string `json:"on"`
	// File is the name inside the folder evidence.
	File string `json:"file"`
}

// Fingerprint is how a place differs from before the fault.
type Fingerprint struct {
	// On is the place.
	On string `json:"on"`
	// Differences are empty where all is as before.
	Differences []string `json:"differences,omitempty"`
}

// Writer appends events to a file. It is safe for use by several lanes at once.
type Writer struct {
	mu    sync.Mutex
	w     io.WriteCloser
	start time.Time
	watch func(Event)
	err   error
}

// NewWriter writes to w; times count from start. Watch, where not nil, sees every event after it was written.
func NewWriter(w io.WriteCloser, start time.Time, watch func(Event)) *Writer {
	return &Writer{w: w, start: start, watch: watch}
}

// Since returns t in seconds since the start of the run.
func (w *Writer) Since(t time.Time) float64 { return t.Sub(w.start).Seconds() }

// Add stamps an event, unless it has a time already, and appends it.
func (w *Writer) Add(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.T == 0 {
		e.T = w.Since(time.Now())
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = w.w.Write(append(line, '\n'))
	}
	w.err = errors.Join(w.err, err)
	if w.watch != nil {
		w.watch(e)
	}
}

// Close closes the file and returns the first errors of writing it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.w.Close())
}

// Read reads a history. A last line that was cut off by a crash is left out; any other damage is an error.
func Read(path string) ([]Event, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var events []Event
	for number := 1; len(data) > 0; number++ {
		line, rest, whole := cut(data)
		data = rest
		if !whole {
			break
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, number, err)
		}
		events = append(events, e)
	}
	return events, nil
}

func cut(data []byte) (line, rest []byte, whole bool) {
	for i, b := range data {
		if b == '\n' {
			return data[:i], data[i+1:], true
		}
	}
	return data, nil, false
}
