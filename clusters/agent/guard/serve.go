package guard

import (
	"context"
	"sync"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// memory is what the guard is asked to remember.
type memory struct {
	What    string        `json:"what"`
	Records []undo.Record `json:"records,omitempty"`
}

var (
	remember = agent.Op[memory, agent.None, agent.None]{Name: "guard/remember"}
	undoNow  = agent.Op[string, agent.None, agent.None]{Name: "guard/undo"}
	forget   = agent.Op[string, agent.None, agent.None]{Name: "guard/forget"}
)

// Register adds the guard's operations to those of the host's agent, whose undo list is the stack.
func Register(ops map[string]agent.Handler, stack *undo.Stack) {
	s := &server{stack: stack, scopes: map[string]*undo.Scope{}}
	remember.Handle(ops, s.remember)
	undoNow.Handle(ops, s.undo)
	forget.Handle(ops, s.forget)
}

type server struct {
	stack *undo.Stack

	mu     sync.Mutex
	scopes map[string]*undo.Scope
}

func (s *server) remember(_ context.Context, m memory, _ func(agent.None)) (agent.None, error) {
	if len(m.Records) == 0 {
		return agent.None{}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	scope := s.scopes[m.What]
	if scope == nil {
		scope = s.stack.Begin(m.What)
		s.scopes[m.What] = scope
	}
	return agent.None{}, scope.Push(m.Records...)
}

func (s *server) undo(ctx context.Context, what string, _ func(agent.None)) (agent.None, error) {
	scope := s.take(what)
	if scope == nil {
		return agent.None{}, nil
	}
	err := scope.Undo(ctx)
	if err != nil {
		// The next try undoes what is left.
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.scopes[what] == nil {
			s.scopes[what] = scope
		}
	}
	return agent.None{}, err
}

func (s *server) forget(_ context.Context, what string, _ func(agent.None)) (agent.None, error) {
	if scope := s.take(what); scope != nil {
		return agent.None{}, scope.Forget()
	}
	return agent.None{}, nil
}

// take removes and returns what was remembered under that name, or nil.
func (s *server) take(what string) *undo.Scope {
	s.mu.Lock()
	defer s.mu.Unlock()
	scope := s.scopes[what]
	delete(s.scopes, what)
	return scope
}
