package undo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// DefaultTimeout is how long one step of undoing may take when a stack does not say otherwise: going through a full conntrack
// table takes a second, and several on a busy machine.
const DefaultTimeout = 30 * time.Second

// Stack is the undo list of one agent. Its zero value is ready and keeps the list in memory only. It may be used by many
// goroutines.
type Stack struct {
	// Journal that every record is written to before the change is made; nil for a namespace that dies with its processes.
	Journal *Journal
	// Refuse, where not nil, says which records may not be made here, and so which changes: Push fails with its error.
	Refuse func(Record) error
	// Timeout of each step of undoing; 0 means DefaultTimeout.
	Timeout time.Duration

	mu     sync.Mutex
	items  []*item
	closed bool
	// changing keeps undos and changes of settings apart: each sees what the other has left.
	changing sync.Mutex
}

// item is one step: a record, or a function that only this process can call.
type item struct {
	scope *Scope
	what  string
	// record is empty for a function. It is guarded by the stack's mutex.
	record Record
	// id in the journal; 0 for what is not there.
	id   uint64
	undo func(context.Context) error
}

// Scope is the part of the stack that belongs to one change. Scopes may be undone in any order.
type Scope struct {
	stack  *Stack
	change string
	// closed is guarded by the stack's mutex.
	closed bool
}

// ErrClosed is the error of adding to a scope that was undone.
var ErrClosed = errors.New("already undone")

// Begin opens the scope of one change.
func (s *Stack) Begin(change string) *Scope { return &Scope{stack: s, change: change} }

// Push writes down how to undo what is about to be done. It must be called before the change is made, and when it fails nothing
// may be changed. Several records are written with one fsync; the last of them is undone first.
func (s *Scope) Push(records ...Record) error {
	netns, err := procs.Netns(0)
	if err != nil {
		return fmt.Errorf("change %s: %w", s.change, err)
	}
	records = slices.Clone(records)
	for i := range records {
		records[i].Netns = netns
		if err := records[i].Check(); err != nil {
			return fmt.Errorf("change %s: %w", s.change, err)
		}
		if refuse := s.stack.Refuse; refuse != nil {
			if err := refuse(records[i]); err != nil {
				return fmt.Errorf("change %s: %w", s.change, err)
			}
		}
	}
	st := s.stack
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	ids := make([]uint64, len(records))
	if st.Journal != nil {
		if ids, err = st.Journal.add(s.change, records); err != nil {
			return fmt.Errorf("change %s: %w", s.change, err)
		}
	}
	for i, r := range records {
		st.items = append(st.items, &item{scope: s, what: r.String(), record: r, id: ids[i], undo: r.Undo})
	}
	return nil
}

// PushFunc adds the undoing of something that dies with this process anyway, such as a socket or a goroutine. It is not
// journalled. What says what the function does, as in: stop the queue 3.
func (s *Scope) PushFunc(what string, undo func(context.Context) error) error {
	s.stack.mu.Lock()
	defer s.stack.mu.Unlock()
	if err := s.open(); err != nil {
		return err
	}
	s.stack.items = append(s.stack.items, &item{scope: s, what: what, undo: func(ctx context.Context) error {
		if err := undo(ctx); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		return nil
	}})
	return nil
}

// open is called with the stack's mutex held.
func (s *Scope) open() error {
	if s.closed || s.stack.closed {
		return fmt.Errorf("change %s: %w", s.change, ErrClosed)
	}
	return nil
}

// Applied is whether the scope holds something to undo, which nobody has begun to undo.
func (s *Scope) Applied() bool {
	s.stack.mu.Lock()
	defer s.stack.mu.Unlock()
	return !s.closed && slices.ContainsFunc(s.stack.items, func(it *item) bool { return it.scope == s })
}

// Undo undoes what this scope holds, last-first and past errors, even when ctx is cancelled. What could not be undone stays on the
// list and in the journal, for the next try. Nothing can be pushed to the scope afterwards.
func (s *Scope) Undo(ctx context.Context) error { return s.UndoUntil(context.WithoutCancel(ctx)) }

// UndoUntil undoes as Undo does, but breaks off what is not done when ctx ends.
func (s *Scope) UndoUntil(ctx context.Context) error {
	s.stack.mu.Lock()
	s.closed = true
	s.stack.mu.Unlock()
	return s.stack.undo(ctx, func(it *item) bool { return it.scope == s })
}

// Forget takes what this scope holds off the list and off the journal, and leaves what was made as it is. Nothing can be pushed to the
// scope afterwards.
func (s *Scope) Forget() error {
	st := s.stack
	st.changing.Lock()
	defer st.changing.Unlock()
	st.mu.Lock()
	s.closed = true
	var mine []*item
	for _, it := range st.items {
		if it.scope == s {
			mine = append(mine, it)
		}
	}
	st.mu.Unlock()
	var errs []error
	for _, it := range mine {
		errs = append(errs, st.strike(it, nil))
	}
	return errors.Join(errs...)
}

// UndoAll undoes every scope, last-first over all of them. New scopes may be begun afterwards.
func (s *Stack) UndoAll(ctx context.Context) error {
	s.mu.Lock()
	for _, it := range s.items {
		it.scope.closed = true
	}
	s.mu.Unlock()
	return s.undo(context.WithoutCancel(ctx), func(*item) bool { return true })
}

// Close refuses every further push and undoes all. It is the end of an agent; changes that are being made must have ended.
func (s *Stack) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	return s.UndoAll(ctx)
}

// Left says what is still on the list, in the order it was pushed.
func (s *Stack) Left() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var left []string
	for _, it := range s.items {
		left = append(left, fmt.Sprintf("change %s: %s", it.scope.change, it.what))
	}
	return left
}

func (s *Stack) undo(ctx context.Context, mine func(*item) bool) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	s.mu.Lock()
	var todo []*item
	for _, it := range slices.Backward(s.items) {
		if mine(it) {
			todo = append(todo, it)
		}
	}
	s.mu.Unlock()

	var errs []error
	for _, it := range todo {
		s.mu.Lock()
		next := s.successor(it)
		s.mu.Unlock()
		// A later change that stays keeps its value. One that was to be undone and could not be is no reason not to try.
		if next == nil || slices.Contains(todo, next) {
			if err := s.step(ctx, it); err != nil {
				errs = append(errs, fmt.Errorf("undo of change %s: %w", it.scope.change, err))
				continue
			}
		}
		errs = append(errs, s.strike(it, next))
	}
	return errors.Join(errs...)
}

// strike takes an item that was undone off the list and off the journal, and hands its old value to its successor, if there is one.
func (s *Stack) strike(it, next *item) error {
	s.mu.Lock()
	s.items = slices.DeleteFunc(s.items, func(other *item) bool { return other == it })
	if next != nil {
		next.record, next.what, next.undo = it.record, it.what, it.undo
	}
	s.mu.Unlock()
	if it.id == 0 {
		return nil
	}
	if next != nil {
		return s.Journal.append(line{ID: next.id, Change: next.scope.change, Undo: &it.record}, line{Done: it.id})
	}
	return s.Journal.append(line{Done: it.id})
}

// step runs one step of undoing and waits no longer than its time: a step that hangs must not keep the others from running.
func (s *Stack) step(ctx context.Context, it *item) error {
	timeout := s.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return within(ctx, max(timeout, it.record.Limit()), it.what, it.undo)
}

func within(ctx context.Context, timeout time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done after %s", timeout))
	defer cancel()
	done := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				done <- fmt.Errorf("%s: panic: %v", what, r)
			}
		}()
		done <- f(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// It may have ended in the same moment, and then its own words are better.
	select {
	case err := <-done:
		return err
	default:
		return fmt.Errorf("%s: %w", what, context.Cause(ctx))
	}
}
