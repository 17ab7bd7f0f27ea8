package undo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Step undoes something that this package knows nothing about. It belongs to no network namespace, and outlives a boot.
type Step interface {
	// Kind is its name in a record's JSON; the step itself is the value.
	Kind() string
	// Check says what is wrong with the step itself, before it is written down.
	Check() error
	// Undo brings the old state back. Doing so twice is success.
	Undo(ctx context.Context) error
	// Limit is how long Undo may take; 0 is DefaultTimeout.
	Limit() time.Duration
	// String says what Undo does.
	String() string
}

// kinds are those that other packages have registered.
var kinds = map[string]func() Step{}

// Register makes a kind of step known to whoever reads records. It is called before main.
func Register(empty func() Step) { kinds[empty().Kind()] = empty }

// registered is a Step in the words of this package.
type registered struct{ Step }

func (r registered) check() error                   { return r.Check() }
func (r registered) undo(ctx context.Context) error { return r.Undo(ctx) }

// MarshalJSON writes a registered step beside the other kinds.
func (r Record) MarshalJSON() ([]byte, error) {
	type plain Record
	text, err := json.Marshal(plain(r))
	if err != nil || r.Step == nil {
		return text, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	if fields[r.Step.Kind()], err = json.Marshal(r.Step); err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

// UnmarshalJSON refuses a kind that is not known: it must not be passed over in silence.
func (r *Record) UnmarshalJSON(text []byte) error {
	type plain Record
	*r = Record{}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return err
	}
	for name, value := range fields {
		empty, ok := kinds[name]
		if !ok {
			continue
		}
		if r.Step != nil {
			return fmt.Errorf("undo record has both kinds %s and %s", r.Step.Kind(), name)
		}
		r.Step = empty()
		if err := strict(value, r.Step); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		delete(fields, name)
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	return strict(text, (*plain)(r))
}

func strict(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}
