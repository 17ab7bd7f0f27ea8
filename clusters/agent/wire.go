// Package agent is the protocol between the harness and its agents: requests, events and results as JSON lines over one
// stream. An agent runs in one namespace; when its stream ends, for whatever reason, it undoes what it did and exits.
package agent

import (
	"context"
	"encoding/json"
	"fmt"
)

// message is one line in either direction. A request has an Op, or Cancel for a request under way; an answer has an Event while the
// request runs, and Done at its end with a Result or an Error.
type message struct {
	ID     uint64          `json:"id"`
	Op     string          `json:"op,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Cancel bool            `json:"cancel,omitempty"`

	Event  json.RawMessage `json:"event,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Done   bool            `json:"done,omitempty"`
}

// Handler serves one operation. Emit sends an event to the caller while the request runs; it blocks while the stream is full. The
// context ends when the caller cancels or the stream ends.
type Handler func(ctx context.Context, params json.RawMessage, emit func(event any)) (result any, err error)

// Op is an operation with parameters P, events E and result R, for both sides.
type Op[P, E, R any] struct{ Name string }

// Handle adds f to ops as the operation's handler.
func (op Op[P, E, R]) Handle(ops map[string]Handler, f func(ctx context.Context, params P, emit func(E)) (R, error)) {
	ops[op.Name] = func(ctx context.Context, raw json.RawMessage, emit func(any)) (any, error) {
		var params P
		if err := json.Unmarshal(raw, &params); err != nil {
			return nil, fmt.Errorf("%s: parameters: %w", op.Name, err)
		}
		return f(ctx, params, func(e E) { emit(e) })
	}
}

// Call asks the agent at the other end of c; events, if not nil, is called for every event, in order.
func (op Op[P, E, R]) Call(ctx context.Context, c *Conn, params P, events func(E)) (R, error) {
	var result R
	err := c.call(ctx, op.Name, params, &result, func(raw json.RawMessage) error {
		var e E
		if events == nil {
			return nil
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		events(e)
		return nil
	})
	return result, err
}

// Hello is answered by every agent that is ready.
var Hello = Op[None, None, None]{Name: "hello"}

// None is the type of parameters, events or results that an operation does not have.
type None struct{}
