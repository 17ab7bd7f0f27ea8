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

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Server makes and undoes changes in an agent.
type Server struct {
	Stack *undo.Stack
	// Own are the programs that the agent starts itself, Programs those of its place.
	Own      *program.Manager
	Programs program.Keeper
	// Processes finds processes of a real node by their name. It is nil elsewhere.
	Processes func(name string) ([]procs.ID, error)
	Clients   Clients

	mu sync.Mutex
	on map[string]*active
}

// active is a change that is applied, or was begun.
type active struct {
	change Change
	scope  *undo.Scope
	// busy is held while the change is made, read or undone.
	busy sync.Mutex
}

// Register adds the operations on changes.
func (s *Server) Register(ops map[string]agent.Handler) {
	s.on = map[string]*active{}
	changes.Apply.Handle(ops, s.apply)
	changes.Undo.Handle(ops, s.undo)
	changes.Read.Handle(ops, s.read)
	changes.Meetings.Handle(ops, s.meetings)
	changes.ReadPod.Handle(ops, readPod)
}

func (s *Server) apply(ctx context.Context, r changes.Request, _ func(agent.None)) (agent.None, error) {
	fail := func(err error) (agent.None, error) { return agent.None{}, fmt.Errorf("%s: %w", r.Name, err) }
	entry, ok := Catalogue[r.Name]
	if !ok {
		return fail(errors.New("unknown change"))
	}
	change, ok := entry.New().(Change)
	if !ok {
		return fail(errors.New("it is made on: cluster, not at a place"))
	}
	if err := json.Unmarshal(r.Config, change); err != nil {
		return fail(err)
	}
	ns := &Namespace{
		Scope: s.Stack.Begin(r.ID), Own: s.Own, Programs: s.Programs, Processes: s.Processes, Clients: s.Clients,
		Run: r.Run, Place: r.Place, Addresses: r.Addresses, Ports: r.Ports, Name: objectName(r),
	}
	a := &active{change: change, scope: ns.Scope}
	a.busy.Lock()
	defer a.busy.Unlock()
	s.mu.Lock()
	_, ok = s.on[r.ID]
	if !ok {
		s.on[r.ID] = a
	}
	s.mu.Unlock()
	if ok {
		return fail(errors.New("already applied"))
	}
	if err := change.Apply(ctx, ns); err != nil {
		return fail(errors.Join(err, s.end(ctx, r.ID, a)))
	}
	return agent.None{}, nil
}

// end undoes a change. What could not be undone can be tried again.
func (s *Server) end(ctx context.Context, id string, a *active) error {
	if err := a.scope.Undo(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.on[id] == a {
		delete(s.on, id)
	}
	return nil
}

// readPod finds the first IPv4 address of the uplink, and what it is connected to. Without an uplink it is the first address of all that
// others can reach.
func readPod(context.Context, agent.None, func(agent.None)) (pod changes.Pod, err error) {
	addresses := net.InterfaceAddrs
	if link, err := netconf.Uplink(); err == nil {
		pod.Port = link.Attrs().ParentIndex
		addresses = (&net.Interface{Index: link.Attrs().Index}).Addrs
	}
	all, err := addresses()
	if err != nil {
		return pod, err
	}
	for _, a := range all {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() && prefix.Addr().IsGlobalUnicast() {
			pod.Address = prefix.Addr()
			return pod, nil
		}
	}
	return pod, errors.New("this namespace has no IPv4 address")
}

func (s *Server) find(id string) (*active, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.on[id]
	return a, ok
}

func (s *Server) undo(ctx context.Context, id string, _ func(agent.None)) (agent.None, error) {
	a, ok := s.find(id)
	if !ok {
		return agent.None{}, nil
	}
	a.busy.Lock()
	defer a.busy.Unlock()
	return agent.None{}, s.end(ctx, id, a)
}

func (s *Server) read(ctx context.Context, id string, _ func(agent.None)) (map[string]float64, error) {
	a, ok := s.find(id)
	if !ok {
		return nil, fmt.Errorf("change %s is not applied here", id)
	}
	a.busy.Lock()
	defer a.busy.Unlock()
	var readings map[string]float64
	if reporter, ok := a.change.(Reporter); ok {
		var err error
		if readings, err = reporter.Readings(ctx); err != nil {
			return readings, err
		}
	}
	return changes.WithApplied(readings, a.scope), nil
}

func (s *Server) meetings(_ context.Context, id string, _ func(agent.None)) (changes.Met, error) {
	a, ok := s.find(id)
	if !ok {
		return changes.Met{}, fmt.Errorf("change %s is not applied here", id)
	}
	meeter, ok := a.change.(Meeter)
	if !ok {
		return changes.Met{}, nil
	}
	a.busy.Lock()
	defer a.busy.Unlock()
	met, trouble := meeter.Meetings()
	return changes.Met{Known: true, Flows: met, Trouble: trouble}, nil
}

// objectName is short enough for every kind of object in the kernel, and tells changes and runs apart.
func objectName(r changes.Request) string {
	return undo.Prefix + "_" + strings.ReplaceAll(r.ID, "-", "_") + "_" + fmt.Sprintf("%08x", hash32(r.Run+r.Place+r.ID))
}

func hash32(text string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(text))
	return h.Sum32()
}
