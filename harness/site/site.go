// Package site is a cluster as the engine uses it: steps are made and undone by id, readings are taken by selector.
package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// ChangeRequest asks an agent to make a change.
type ChangeRequest struct {
	// ID by which the change is undone and read later.
	ID string
	// Name in the catalogue of changes, and its settings.
	Name   string
	Config json.RawMessage
	// Run and Place are the run's id and the agent's place.
	Run, Place string
	// Addresses are the IPv4 addresses of the pods that the change asked for.
	Addresses map[string]netip.Addr
}

// Operations that agents serve on changes.
var (
	ApplyChange = agent.Op[ChangeRequest, agent.None, agent.None]{Name: "change/apply"}
	UndoChange  = agent.Op[string, agent.None, agent.None]{Name: "change/undo"}
	ReadChange  = agent.Op[string, agent.None, map[string]float64]{Name: "change/read"}
	// ReadAddress asks a pod's agent for the pod's IPv4 address.
	ReadAddress = agent.Op[agent.None, agent.None, netip.Addr]{Name: "address"}
)

// AddressUser is a change that must know the addresses of some pods.
type AddressUser interface {
	// NeedsAddresses names the pods.
	NeedsAddresses() []string
}

// ClusterChange is a change to the cluster as a whole, made from the harness; its steps say on: cluster.
type ClusterChange interface {
	// ApplyTo makes the change and returns how to undo it, also beside an error, for what was done until then.
	ApplyTo(ctx context.Context, s *Site, id string) (undo func(context.Context) error, err error)
}

// ClusterReporter is a change to the cluster as a whole that says something of itself: numbers that prove that it is in effect.
type ClusterReporter interface {
	// ReadFrom reads while the change with this id is on.
	ReadFrom(ctx context.Context, s *Site, id string) (map[string]float64, error)
}

// Site is a cluster, its host and what has been changed. It is safe for use by several goroutines.
type Site struct {
	Cluster clusters.Cluster
	// Host is the agent for what belongs to the whole machine.
	Host *agent.Conn
	// Run is the run's id.
	Run string

	mu   sync.Mutex
	made []*made
}

// made is a step that was made, or begun.
type made struct {
	id     string
	on     string
	places []string
	// reporter is set for changes to the cluster as a whole that have readings.
	reporter ClusterReporter
	undo     func(context.Context) error
}

// Agent returns the agent of a place, the host's included.
func (s *Site) Agent(place string) (*agent.Conn, error) {
	conn := s.Cluster.Agent(place)
	if place == "host" {
		conn = s.Host
	}
	if conn == nil {
		return nil, fmt.Errorf("%s: there is no agent at this place", place)
	}
	return conn, nil
}

// Resolve turns a selector into places.
func (s *Site) Resolve(on string) ([]string, error) {
	switch on {
	case "host":
		return []string{"host"}, nil
	case "cluster":
		return nil, nil
	}
	return s.Cluster.Resolve(on)
}

// Apply makes a step at all its places. On an error what was done can be undone by the step's id.
func (s *Site) Apply(ctx context.Context, step scenario.Step) error {
	places, err := s.Resolve(step.On)
	if err != nil {
		return fmt.Errorf("change %s: %w", step.ID, err)
	}
	m := &made{id: step.ID, on: step.On, places: places}
	s.mu.Lock()
	if slices.ContainsFunc(s.made, func(other *made) bool { return other.id == step.ID }) {
		s.mu.Unlock()
		return fmt.Errorf("change %s is on already", step.ID)
	}
	s.made = append(s.made, m)
	s.mu.Unlock()
	if step.On == "cluster" {
		change, ok := step.Use.Config.(ClusterChange)
		if !ok {
			return fmt.Errorf("change %s: %s is made at a place, not on the cluster", step.ID, step.Use.Name)
		}
		s.mu.Lock()
		m.reporter, _ = change.(ClusterReporter)
		s.mu.Unlock()
		m.undo, err = change.ApplyTo(ctx, s, step.ID)
	} else {
		m.undo, err = s.applyAt(ctx, step, places)
	}
	if err != nil {
		return fmt.Errorf("change %s: %w", step.ID, err)
	}
	return nil
}

// ApplyAt makes a change at places for a ClusterChange, and returns how to undo it there, also beside an error.
func (s *Site) ApplyAt(ctx context.Context, id, name string, config any, places []string) (func(context.Context) error, error) {
	return s.applyAt(ctx, scenario.Step{ID: id, Use: scenario.Use{Name: name, Config: config}}, places)
}

func (s *Site) applyAt(ctx context.Context, step scenario.Step, places []string) (func(context.Context) error, error) {
	undo := func(ctx context.Context) error {
		return s.each(places, func(conn *agent.Conn) error {
			_, err := UndoChange.Call(ctx, conn, step.ID, nil)
			if errors.Is(err, agent.ErrGone) && conn != s.Host {
				return nil // an agent whose stream ends undoes all that it did
			}
			return err
		})
	}
	config, err := json.Marshal(step.Use.Config)
	if err != nil {
		return undo, err
	}
	addresses, err := s.addresses(ctx, step.Use.Config)
	if err != nil {
		return undo, err
	}
	return undo, s.each(places, func(conn *agent.Conn) error {
		_, err := ApplyChange.Call(ctx, conn, ChangeRequest{ID: step.ID, Name: step.Use.Name, Config: config, Run: s.Run, Place: conn.Name(), Addresses: addresses}, nil)
		return err
	})
}

// addresses asks the pods that a change names.
func (s *Site) addresses(ctx context.Context, config any) (map[string]netip.Addr, error) {
	user, ok := config.(AddressUser)
	if !ok {
		return nil, nil
	}
	addresses := map[string]netip.Addr{}
	for _, pod := range user.NeedsAddresses() {
		conn, err := s.Agent("pod/" + pod)
		if err != nil {
			return nil, err
		}
		if addresses[pod], err = ReadAddress.Call(ctx, conn, agent.None{}, nil); err != nil {
			return nil, fmt.Errorf("pod/%s: %w", pod, err)
		}
	}
	return addresses, nil
}

// each calls f for the agents of all places at once and joins the errors.
func (s *Site) each(places []string, f func(*agent.Conn) error) error {
	errs := make([]error, len(places))
	var group errgroup.Group
	for i, place := range places {
		group.Go(func() error {
			conn, err := s.Agent(place)
			if err == nil {
				err = f(conn)
			}
			errs[i] = err
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

// Undo undoes the step with this id, even when ctx is cancelled; undoing what was not made is no error.
func (s *Site) Undo(ctx context.Context, id string) error {
	return s.undo(context.WithoutCancel(ctx), id)
}

func (s *Site) undo(ctx context.Context, id string) error {
	s.mu.Lock()
	i := slices.IndexFunc(s.made, func(m *made) bool { return m.id == id })
	if i < 0 {
		s.mu.Unlock()
		return nil
	}
	m := s.made[i]
	s.made = slices.Delete(s.made, i, i+1)
	s.mu.Unlock()
	if m.undo == nil {
		return nil
	}
	if err := m.undo(ctx); err != nil {
		return fmt.Errorf("undo of change %s: %w", id, err)
	}
	return nil
}

// UndoAll undoes all steps, last first, past errors, for as long as ctx lasts.
func (s *Site) UndoAll(ctx context.Context) error {
	s.mu.Lock()
	var ids []string
	for _, m := range slices.Backward(s.made) {
		ids = append(ids, m.id)
	}
	s.mu.Unlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, s.undo(ctx, id))
	}
	return errors.Join(errs...)
}

// ChangeReadings asks a change that is on what it says of itself, at all its places; one to the cluster as a whole at "cluster".
func (s *Site) ChangeReadings(ctx context.Context, id string) (map[string]map[string]float64, error) {
	s.mu.Lock()
	i := slices.IndexFunc(s.made, func(m *made) bool { return m.id == id })
	var places []string
	var reporter ClusterReporter
	if i >= 0 {
		places, reporter = s.made[i].places, s.made[i].reporter
	}
	s.mu.Unlock()
	switch {
	case i < 0:
		return nil, nil
	case reporter != nil:
		values, err := reporter.ReadFrom(ctx, s, id)
		return map[string]map[string]float64{"cluster": values}, err
	}
	return s.ReadAt(ctx, id, places)
}

// ReadAt asks a change at places for its readings, also where it is a part of a ClusterChange.
func (s *Site) ReadAt(ctx context.Context, id string, places []string) (map[string]map[string]float64, error) {
	var mu sync.Mutex
	readings := map[string]map[string]float64{}
	err := s.each(places, func(conn *agent.Conn) error {
		values, err := ReadChange.Call(ctx, conn, id, nil)
		mu.Lock()
		defer mu.Unlock()
		readings[conn.Name()] = values
		return err
	})
	return readings, err
}
