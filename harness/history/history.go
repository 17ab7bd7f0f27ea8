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

	"github.com/relapse-k8s/relapse/clusters/logs"

	"github.com/relapse-k8s/relapse/harness/regular"
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
	// KindMet is on which flows a change has acted since the last such event of the phase.
	KindMet = "met"
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
	Met         *Met         `json:"met,omitempty"`
	Change      *Change      `json:"change,omitempty"`
	Wait        *Wait        `json:"wait,omitempty"`
	Log         *logs.Line   `json:"log,omitempty"`
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
	// Took is how long the part of it took that counts, in seconds.
	Took float64 `json:"took"`
	// Error is empty where the attempt succeeded.
	Error string `json:"error,omitempty"`
	// Detail is what was seen: addresses, a status line.
	Detail string `json:"detail,omitempty"`
	// Ports are the first and the last of the source ports that the attempt used, if they are known.
	Ports []int `json:"ports,omitempty"`
	// By is the pod that answered, if it said so.
	By string `json:"by,omitempty"`
	// Lane is the event's, where attempts of several lanes are looked at together: each has pods of its own.
	Lane string `json:"-"`
}

// Met is what a change did to single flows.
type Met struct {
	// ID is the change's id.
	ID string `json:"id"`
	// On is the place.
	On    string    `json:"on"`
	Flows []Meeting `json:"flows,omitempty"`
}

// Meeting is a flow that a change has acted on.
type Meeting struct {
	// T is when, in seconds since the start of the run.
	T float64 `json:"t"`
	// Flow in words, such as udp 10.0.0.1:4000 > 10.0.0.2:53.
	Flow string `json:"flow"`
	// Ports are its source and destination port.
	Ports []int `json:"ports"`
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

// File is what a Writer writes to: an *os.File that is empty.
type File interface {
	io.WriteCloser
	Truncate(size int64) error
}

// Writer appends events to a file. It is safe for use by several lanes at once. After the first error it writes nothing more, and what is
// in the file stays readable.
type Writer struct {
	mu     sync.Mutex
	file   File
	size   int64
	items  int
	start  time.Time
	watch  func(Event)
	failed func(error)
	err    error
}

// NewWriter writes to a file; times count from start. Watch, if not nil, is called with every event after it was written; failed, if
// not nil, with the first error.
func NewWriter(file File, start time.Time, watch func(Event), failed func(error)) *Writer {
	return &Writer{file: file, start: start, watch: watch, failed: failed}
}

// Since returns t in seconds since the start of the run.
func (w *Writer) Since(t time.Time) float64 { return t.Sub(w.start).Seconds() }

// Add stamps an event, unless it has a time already, and appends it.
func (w *Writer) Add(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return
	}
	if e.T == 0 {
		e.T = w.Since(time.Now())
	}
	if w.err = w.append(e); w.err != nil {
		if w.failed != nil {
			w.failed(w.err)
		}
		return
	}
	if w.watch != nil {
		w.watch(e)
	}
}

// append writes a whole line or nothing.
func (w *Writer) append(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	// What is beyond these limits could not be read again.
	switch w.items += e.items(); {
	case len(line) >= regular.MaxLine:
		return fmt.Errorf("history: an event of kind %s has more than %d bytes", e.Kind, regular.MaxLine)
	case w.size+int64(len(line)) >= regular.MaxHistory-regular.MaxLine: // with room for the error that ends it
		return fmt.Errorf("history: it has reached its limit of %d bytes", regular.MaxHistory)
	case w.items >= regular.MaxEvents:
		return fmt.Errorf("history: %w", errTooMany)
	}
	written, err := w.file.Write(append(line, '\n'))
	if err != nil {
		err = fmt.Errorf("history: %w", err)
		if written > 0 {
			err = errors.Join(err, w.file.Truncate(w.size))
		}
		return err
	}
	w.size += int64(written)
	return nil
}

// Close closes the file and returns the first error of writing it.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.file.Close())
}

// AppendError adds the error of a whole run to a history that is closed already. A run that did not get as far as its history has none.
func AppendError(path string, what error) error {
	events, err := Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	w := &Writer{file: file, size: info.Size()}
	last := 0.0
	for _, e := range events {
		last = max(last, e.T)
	}
	w.err = w.append(Event{T: last, Kind: KindError, Text: what.Error()})
	return w.Close()
}
