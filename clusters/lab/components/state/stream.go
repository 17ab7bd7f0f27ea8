package state

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Line is one line of standard input: a state, or why it is none. State is not nil where at least the revision could be
// read.
type Line struct {
	State *State
	Err   error
}

// Follow reads states until the input ends, which closes the channel, as does a failing input after a Line saying so. A
// line that cannot be understood does not end it: the sender is told and may send a better one.
func Follow(ctx context.Context, input io.Reader) <-chan Line {
	lines := make(chan Line)
	go func() {
		defer close(lines)
		send := func(line Line) {
			select {
			case lines <- line:
			case <-ctx.Done():
			}
		}
		reader := bufio.NewReaderSize(input, 64<<10)
		for ctx.Err() == nil {
			text, err := reader.ReadBytes('\n')
			if text = bytes.TrimSpace(text); len(text) > 0 {
				st, err := Decode(text)
				send(Line{State: st, Err: err})
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				send(Line{Err: fmt.Errorf("reading states: %w", err)})
				return
			}
		}
	}()
	return lines
}

// Reporter writes reports, one JSON object a line, each in one write.
type Reporter struct {
	mu     sync.Mutex
	output io.Writer
}

// NewReporter reports to output.
func NewReporter(output io.Writer) *Reporter { return &Reporter{output: output} }

// Synced says that the state of this revision is in force, and how long that took (0: not measured).
func (r *Reporter) Synced(revision int64, seconds float64) error {
	return r.write(struct {
		Synced  int64   `json:"synced"`
		Seconds float64 `json:"seconds,omitempty"`
	}{revision, seconds})
}

// Failed says that the state of this revision is not, or not wholly, in force, and why.
func (r *Reporter) Failed(revision int64, why error) error {
	return r.write(struct {
		Revision int64  `json:"revision"`
		Error    string `json:"error"`
	}{revision, why.Error()})
}

func (r *Reporter) write(report any) error {
	text, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("report %+v: %w", report, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.output.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing the report %s: %w", text, err)
	}
	return nil
}
