package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/program"
	"github.com/relapse-k8s/relapse/harness/site"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// Server makes and undoes changes in an agent.
type Server struct {
	Stack    *undo.Stack
	Programs program.Keeper
	Clients  Clients

	mu sync.Mutex
	on map[string]active
}

type active struct {
	change Change
	scope  *undo.Scope
}

// Register adds the operations on changes.
func (s *Server) Register(ops map[string]agent.Handler) {
	s.on = map[string]active{}
	site.ApplyChange.Handle(ops, s.apply)
	site.UndoChange.Handle(ops, s.undo)
	site.ReadChange.Handle(ops, s.read)
	site.ReadAddress.Handle(ops, address)
}

func (s *Server) apply(ctx context.Context, r site.ChangeRequest, _ func(agent.None)) (agent.None, error) {
	fail := func(err error) (agent.None, error) { return agent.None{}, fmt.Errorf("%s: %w", r.Name, err) }
	create, ok := Catalogue[r.Name]
	if !ok {
		return fail(errors.New("this agent knows no such change"))
	}
	change, ok := create().(Change)
	if !ok {
		return fail(errors.New("this is made on the cluster, not at a place"))
	}
	if err := json.Unmarshal(r.Config, change); err != nil {
		return fail(err)
	}
	ns := &Namespace{Scope: s.Stack.Begin(r.ID), Programs: s.Programs, Clients: s.Clients, Run: r.Run, Place: r.Place, Addresses: r.Addresses, Name: objectName(r)}
	s.mu.Lock()
	if _, ok := s.on[r.ID]; ok {
		s.mu.Unlock()
		return fail(errors.New("it is on already"))
	}
	s.on[r.ID] = active{change, ns.Scope}
	s.mu.Unlock()
	if err := change.Apply(ctx, ns); err != nil {
		s.forget(r.ID)
		return fail(errors.Join(err, ns.Scope.Undo(ctx)))
	}
	return agent.None{}, nil
}

// address is the first IPv4 address of the namespace that others can reach.
func address(context.Context, agent.None, func(agent.None)) (netip.Addr, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() && prefix.Addr().IsGlobalUnicast() {
			return prefix.Addr(), nil
		}
	}
	return netip.Addr{}, errors.New("this namespace has no IPv4 address")
}

func (s *Server) forget(id string) (active, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.on[id]
	delete(s.on, id)
	return a, ok
}

func (s *Server) undo(ctx context.Context, id string, _ func(agent.None)) (agent.None, error) {
	a, ok := s.forget(id)
	if !ok {
		return agent.None{}, nil
	}
	return agent.None{}, a.scope.Undo(ctx)
}

func (s *Server) read(ctx context.Context, id string, _ func(agent.None)) (map[string]float64, error) {
	s.mu.Lock()
	a, ok := s.on[id]
	s.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("no change %s is on here", id)
	}
	reporter, ok := a.change.(Reporter)
	if !ok {
		return nil, nil
	}
	return reporter.Readings(ctx)
}

// objectName is short enough for every kind of object in the kernel, and tells changes and runs apart.
func objectName(r site.ChangeRequest) string {
	return undo.Prefix + "_" + strings.ReplaceAll(r.ID, "-", "_") + "_" + fmt.Sprintf("%08x", hash32(r.Run+r.Place+r.ID))
}

func hash32(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}
