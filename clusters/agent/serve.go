package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
)

// streamKey finds the context of the whole stream in that of a request.
type streamKey struct{}

// UntilBroken returns a context for work that a request must finish even if it is cancelled: it ends with the stream, when nobody waits
// for the answer any more.
func UntilBroken(request context.Context) context.Context {
	if stream, ok := request.Value(streamKey{}).(context.Context); ok {
		return stream
	}
	return context.WithoutCancel(request)
}

// Serve answers requests read from r until the stream ends or ctx does; then it cancels what is under way and waits for it.
// The end of the stream is not an error.
func Serve(ctx context.Context, r io.Reader, w io.Writer, ops map[string]Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	ctx = context.WithValue(ctx, streamKey{}, ctx)
	s := &server{ops: ops, out: json.NewEncoder(w), running: map[uint64]context.CancelFunc{}}
	defer s.wait.Wait()
	defer cancel()
	lines := make(chan message)
	failed := make(chan error, 1)
	go func() {
		// A line has no limit: the objects of a whole cluster are one.
		in := json.NewDecoder(bufio.NewReaderSize(r, 64<<10))
		for {
			var m message
			if err := in.Decode(&m); err != nil {
				failed <- err
				return
			}
			select {
			case lines <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) {
				return nil
			}
			return fmt.Errorf("agent stream: %w", err)
		case m := <-lines:
			s.accept(ctx, m)
		}
	}
}

type server struct {
	ops  map[string]Handler
	wait sync.WaitGroup

	write sync.Mutex
	out   *json.Encoder

	mu      sync.Mutex
	running map[uint64]context.CancelFunc
}

func (s *server) accept(ctx context.Context, m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.Cancel {
		if cancel, ok := s.running[m.ID]; ok {
			cancel()
		}
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.running[m.ID] = cancel
	s.wait.Go(func() {
		result, err := s.run(ctx, m)
		s.mu.Lock()
		delete(s.running, m.ID)
		s.mu.Unlock()
		cancel()
		answer := message{ID: m.ID, Done: true}
		if err == nil {
			answer.Result, err = json.Marshal(result)
		}
		if err != nil {
			answer.Error = err.Error()
		}
		s.send(answer)
	})
}

func (s *server) run(ctx context.Context, m message) (result any, err error) {
	handler, ok := s.ops[m.Op]
	if m.Op == Hello.Name {
		return None{}, nil
	}
	if !ok {
		return nil, fmt.Errorf("unknown operation %q", m.Op)
	}
	defer func() {
		if p := recover(); p != nil {
			debug.PrintStack()
			err = fmt.Errorf("the agent crashed: %v; the stack is in its log", p)
		}
	}()
	return handler(ctx, m.Params, func(event any) {
		if raw, err := json.Marshal(event); err == nil {
			s.send(message{ID: m.ID, Event: raw})
		}
	})
}

// send ignores errors: a broken stream ends the reading side too, and with it the agent.
func (s *server) send(m message) {
	s.write.Lock()
	defer s.write.Unlock()
	_ = s.out.Encode(m)
}
