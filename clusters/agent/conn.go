package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// cancelGrace is how long a cancelled request may take to end before its caller stops waiting.
const cancelGrace = 5 * time.Second

// ErrGone is returned by calls to an agent whose stream has ended.
var ErrGone = errors.New("the agent is gone")

// Conn is the harness's end of the stream to one agent. It is safe for use by several goroutines.
type Conn struct {
	name string

	write sync.Mutex
	w     io.WriteCloser
	out   *json.Encoder

	mu      sync.Mutex
	next    uint64
	pending map[uint64]*call
	gone    chan struct{}
	cause   error
}

type call struct {
	events func(json.RawMessage) error
	done   chan message
}

// NewConn speaks over w and r with the agent called name (used in errors). Closing the Conn closes w.
func NewConn(name string, r io.Reader, w io.WriteCloser) *Conn {
	c := &Conn{name: name, w: w, out: json.NewEncoder(w), pending: map[uint64]*call{}, gone: make(chan struct{})}
	go c.receive(r)
	return c
}

// Name of the agent, which is its place: node/node-1, pod/client, host.
func (c *Conn) Name() string { return c.name }

// Gone is closed when the stream has ended.
func (c *Conn) Gone() <-chan struct{} { return c.gone }

// Close ends the stream, upon which the agent undoes what it did and exits.
func (c *Conn) Close() error {
	c.write.Lock()
	defer c.write.Unlock()
	return c.w.Close()
}

func (c *Conn) receive(r io.Reader) {
	in := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
	for {
		var m message
		if err := in.Decode(&m); err != nil {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.cause = err
			close(c.gone)
			return
		}
		c.mu.Lock()
		call := c.pending[m.ID]
		if m.Done {
			delete(c.pending, m.ID)
		}
		c.mu.Unlock()
		switch {
		case call == nil: // its caller gave up
		case m.Done:
			call.done <- m
		default:
			if err := call.events(m.Event); err != nil {
				call.events = func(json.RawMessage) error { return nil }
				call.done <- message{Error: fmt.Sprintf("event %s: %v", m.Event, err)}
			}
		}
	}
}

func (c *Conn) call(ctx context.Context, op string, params, result any, events func(json.RawMessage) error) error {
	wrap := func(err error) error { return fmt.Errorf("%s: %s: %w", c.name, op, err) }
	raw, err := json.Marshal(params)
	if err != nil {
		return wrap(err)
	}
	this := &call{events: events, done: make(chan message, 2)}
	c.mu.Lock()
	c.next++
	id := c.next
	c.pending[id] = this
	c.mu.Unlock()
	if err := c.send(message{ID: id, Op: op, Params: raw}); err != nil {
		return wrap(fmt.Errorf("%w: %w", ErrGone, err))
	}
	finish := func(m message) error {
		if m.Error != "" {
			return wrap(errors.New(m.Error))
		}
		if err := json.Unmarshal(m.Result, result); err != nil {
			return wrap(fmt.Errorf("result: %w", err))
		}
		return nil
	}
	select {
	case m := <-this.done:
		return finish(m)
	case <-c.gone:
		return c.last(this, finish, wrap)
	case <-ctx.Done():
	}
	// The agent ends what it was asked to do and answers all the same; its answer says more than "cancelled".
	_ = c.send(message{ID: id, Cancel: true})
	grace := time.NewTimer(cancelGrace)
	defer grace.Stop()
	select {
	case m := <-this.done:
		if err := finish(m); err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		return nil
	case <-c.gone:
		return c.last(this, finish, wrap)
	case <-grace.C:
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
		return wrap(fmt.Errorf("%w, and the agent did not answer within %s", context.Cause(ctx), cancelGrace))
	}
}

// last is the answer to a call after the stream has ended: the agent's own, if it was received before.
func (c *Conn) last(this *call, finish func(message) error, wrap func(error) error) error {
	select {
	case m := <-this.done:
		return finish(m)
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return wrap(fmt.Errorf("%w: %w", ErrGone, c.cause))
}

func (c *Conn) send(m message) error {
	c.write.Lock()
	defer c.write.Unlock()
	return c.out.Encode(m)
}
