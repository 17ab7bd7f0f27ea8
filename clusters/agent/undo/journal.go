package undo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Journal is an append-only file of JSON lines that is on the disk before a change is made: {"id":1,"change":"…","undo":{…}} for
// what will have to be undone, {"done":1} when it was. A second line with an id takes the place of the first: see successor.go.
type Journal struct {
	mu   sync.Mutex
	file *os.File
	last uint64
	// size is where the next line goes: what an append has torn is cut off again.
	size int64
}

// Entry is what is left to undo.
type Entry struct {
	ID uint64 `json:"id"`
	// Change that it belongs to.
	Change string `json:"change"`
	Undo   Record `json:"undo"`
}

// String says what is left to undo, and of which change.
func (e Entry) String() string { return fmt.Sprintf("change %s: %s", e.Change, e.Undo) }

// line is either kind of line.
type line struct {
	ID     uint64  `json:"id,omitempty"`
	Change string  `json:"change,omitempty"`
	Undo   *Record `json:"undo,omitempty"`
	Done   uint64  `json:"done,omitempty"`
}

// OpenJournal opens a journal for writing, and makes it when it is not there. What it holds already stays; a torn last line is cut
// off. A journal that cannot be understood is not written to.
func OpenJournal(path string) (*Journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err == nil {
		var state journalState
		state, err = parseJournal(path, text)
		if err == nil {
			err = file.Truncate(state.whole)
		}
		if err == nil {
			err = syncFolder(filepath.Dir(path))
		}
		if err == nil {
			return &Journal{file: file, last: state.last, size: state.whole}, nil
		}
	}
	return nil, errors.Join(err, file.Close())
}

// syncFolder makes a new file's name last, as its own fsync does for its content.
func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

func (j *Journal) add(change string, records []Record) ([]uint64, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	ids := make([]uint64, len(records))
	lines := make([]line, len(records))
	for i := range records {
		ids[i] = j.last + uint64(i) + 1
		lines[i] = line{ID: ids[i], Change: change, Undo: &records[i]}
	}
	if err := j.write(lines...); err != nil {
		return nil, err
	}
	j.last += uint64(len(records))
	return ids, nil
}

func (j *Journal) append(lines ...line) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.write(lines...)
}

// write is called with the mutex held.
func (j *Journal) write(lines ...line) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for _, l := range lines {
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("journal %s: %w", j.file.Name(), err)
		}
	}
	_, err := j.file.WriteAt(text.Bytes(), j.size)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		// Half a line in the middle would hide all that comes after it.
		return fmt.Errorf("journal %s: %w", j.file.Name(), errors.Join(err, j.file.Truncate(j.size)))
	}
	j.size += int64(text.Len())
	return nil
}

// Pending returns what a journal leaves to undo, in the order it was written: undo it from the end. A torn last line was never
// acted upon and is passed over; of a file with other damage it returns what can be read, and an error.
func Pending(path string) ([]Entry, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, err := parseJournal(path, text)
	return state.pending, err
}

type journalState struct {
	pending []Entry
	last    uint64
	// whole is the length of the file without a torn last line.
	whole int64
}

func parseJournal(path string, text []byte) (journalState, error) {
	var state journalState
	var errs []error
	for number := 1; ; number++ {
		rest := text[state.whole:]
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return state, errors.Join(errs...)
		}
		state.whole += int64(end) + 1
		var l line
		dec := json.NewDecoder(bytes.NewReader(rest[:end]))
		// A kind of record that this version does not know must not be passed over in silence.
		dec.DisallowUnknownFields()
		err := dec.Decode(&l)
		switch {
		case err != nil:
			// A disk that lost power may also tear a line so that its newline is there.
			if int(state.whole) == len(text) && !json.Valid(rest[:end]) {
				state.whole -= int64(end) + 1
				return state, errors.Join(errs...)
			}
			errs = append(errs, fmt.Errorf("%s:%d: %w: %q", path, number, err, rest[:end]))
		case l.Undo != nil:
			state.last = max(state.last, l.ID)
			entry := Entry{ID: l.ID, Change: l.Change, Undo: *l.Undo}
			if i := slices.IndexFunc(state.pending, func(e Entry) bool { return e.ID == l.ID }); i >= 0 {
				state.pending[i] = entry
			} else {
				state.pending = append(state.pending, entry)
			}
		default:
			state.pending = slices.DeleteFunc(state.pending, func(e Entry) bool { return e.ID == l.Done })
		}
	}
}

// UndoPending undoes what a journal leaves, last-first, past errors and even when ctx is cancelled, and writes down what was
// undone. Say, if not nil, is told each step and its error. It returns what is still left.
func UndoPending(ctx context.Context, path string, say func(Entry, error)) ([]Entry, error) {
	pending, err := Pending(path)
	errs := []error{err}
	if len(pending) == 0 {
		return nil, err
	}
	// A damaged journal cannot be written to; undoing twice is harmless, so what can be read is undone all the same.
	journal, err := OpenJournal(path)
	if err == nil {
		defer func() { _ = journal.Close() }()
	}
	ctx = context.WithoutCancel(ctx)
	var left []Entry
	for _, entry := range slices.Backward(pending) {
		err := within(ctx, max(DefaultTimeout, entry.Undo.Limit()), entry.Undo.String(), entry.Undo.Undo)
		if say != nil {
			say(entry, err)
		}
		if err != nil {
			left = append(left, entry)
			errs = append(errs, fmt.Errorf("undo of change %s: %w", entry.Change, err))
			continue
		}
		lines := []line{{Done: entry.ID}}
		// A later change of the same thing that could not be undone must not bring this one back at the next try.
		for i := range left {
			if subject := entry.Undo.subject(); subject != "" && left[i].Undo.subject() == subject {
				left[i].Undo = entry.Undo
				lines = append([]line{{ID: left[i].ID, Change: left[i].Change, Undo: &left[i].Undo}}, lines...)
			}
		}
		if journal != nil {
			errs = append(errs, journal.append(lines...))
		}
	}
	slices.Reverse(left)
	return left, errors.Join(errs...)
}

// Forget writes down as done, without doing it, what is left of the kinds that drop says.
func Forget(path string, drop func(Record) bool) error {
	pending, err := Pending(path)
	if err != nil {
		return err
	}
	journal, err := OpenJournal(path)
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range pending {
		if drop(entry.Undo) {
			errs = append(errs, journal.append(line{Done: entry.ID}))
		}
	}
	return errors.Join(append(errs, journal.Close())...)
}
