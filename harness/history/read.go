package history

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/regular"
)

// Read reads a history. A last line that was cut off by a crash is left out; any other damage is an error, and so is a history beyond the
// limits of package regular.
func Read(path string) ([]Event, error) {
	folder, err := regular.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	file, err := folder.Open(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	whole := &io.LimitedReader{R: file, N: regular.MaxHistory + 1}
	lines := bufio.NewReaderSize(whole, regular.MaxLine)
	var events []Event
	named, begun, items := map[[3]string]bool{}, 0, 0
	for {
		fail := func(err error) ([]Event, error) { return nil, fmt.Errorf("%s:%d: %w", path, len(events)+1, err) }
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return fail(fmt.Errorf("the line has more than %d bytes", regular.MaxLine))
		case whole.N == 0:
			return fail(fmt.Errorf("the file has more than %d bytes", regular.MaxHistory))
		case errors.Is(err, io.EOF):
			return events, nil
		case err != nil:
			return fail(err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return fail(err)
		}
		if items += e.items(); items > regular.MaxEvents {
			return fail(errTooMany)
		}
		events = append(events, e)
		if e.Kind == PhaseBegin {
			begun++
		}
		if e.name(named); max(len(named), begun) > regular.MaxNames {
			return fail(fmt.Errorf("there are more than %d phases, places, probes, numbers and messages", regular.MaxNames))
		}
	}
}

var errTooMany = fmt.Errorf("there are more than %d events and items of their lists", regular.MaxEvents)

// items are the event and what its lists hold, all of which take memory.
func (e Event) items() int {
	n := 1
	if e.Sample != nil {
		n += len(e.Sample.Ports)
	}
	if e.Met != nil {
		n += len(e.Met.Flows)
		for _, flow := range e.Met.Flows {
			n += len(flow.Ports)
		}
	}
	if e.Reading != nil {
		n += len(e.Reading.For) + len(e.Reading.Values)
	}
	if e.Log != nil {
		n += len(e.Log.Fields)
	}
	if e.Fingerprint != nil {
		n += len(e.Fingerprint.Differences)
	}
	return n
}

// name adds what an event names.
func (e Event) name(to map[[3]string]bool) {
	to[[3]string{PhaseBegin, e.Lane, e.Phase}] = true
	if e.Sample != nil {
		to[[3]string{KindSample, e.Sample.Probe}] = true
	}
	if e.Log != nil {
		to[[3]string{KindLog, e.Log.Source, e.Log.Event}] = true
	}
	if e.Reading != nil {
		to[[3]string{"place", e.Reading.On}] = true
		for key := range e.Reading.Values {
			to[[3]string{KindReading, e.Reading.Reader, key}] = true
		}
	}
}
