// Package site is a cluster as the engine uses it: steps are made and undone by id, readings are taken by selector.
package site

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// ClusterChange is a change to the cluster as a whole, made from the harness; its steps say on: cluster.
type ClusterChange interface {
	// ApplyTo makes the change. Before each thing that it alters it writes down in the scope how to undo it.
	ApplyTo(ctx context.Context, s *Scope) error
}

// WholeCluster is a change that may alter what belongs to all lanes of a cluster that they share.
type WholeCluster interface {
	// WholeCluster says if it does.
	WholeCluster() bool
}

// ClusterReporter is a change to the cluster as a whole that reports numbers that prove that it is in effect.
type ClusterReporter interface {
	// ReadFrom reads while the change is applied.
	ReadFrom(ctx context.Context, s *Scope) (map[string]float64, error)
}

// Site is a cluster, its host and what has been changed. It is safe for use by several goroutines: an Undo waits for an Apply of the
// same step that has begun.
type Site struct {
	Cluster clusters.Cluster
	// Host is the agent for what belongs to the whole machine.
	Host *agent.Conn
	// Run is the run's id.
	Run string

	stack undo.Stack
	mu    sync.Mutex
	steps []*step
}

// New returns a Site on which nothing was changed yet.
func New(cluster clusters.Cluster, host *agent.Conn, run string) *Site {
	return &Site{Cluster: cluster, Host: host, Run: run, stack: undo.Stack{Timeout: undoLimit}}
}

// step is one that was made, or begun.
type step struct {
	id     string
	scope  *Scope
	places []string
	// reporter is set for changes to the cluster as a whole that have readings.
	reporter ClusterReporter
	// changing is held while the step is made or undone.
	changing sync.Mutex
}

// undoLimit is how long undoing one thing may take. It is above the limits of what is waited for meanwhile: agents, kubelets, pods.
const undoLimit = 5 * time.Minute

// Agent returns the agent of a place, the host's included.
func (s *Site) Agent(place string) (*agent.Conn, error) {
	conn := s.Cluster.Agent(place)
	if place == "host" {
		conn = s.Host
	}
	if conn == nil {
		return nil, fmt.Errorf("%s: this place has no agent", place)
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

// Apply makes a step at all its places. If it fails, what was done until then can be undone by the step's id.
func (s *Site) Apply(ctx context.Context, made scenario.Step) error {
	if err := s.apply(ctx, made); err != nil {
		return fmt.Errorf("change %s: %w", made.ID, err)
	}
	return nil
}

func (s *Site) apply(ctx context.Context, made scenario.Step) error {
	places, err := s.Resolve(made.On)
	if err != nil {
		return err
	}
	change, wide := made.Use.Config.(ClusterChange)
	if made.On == "cluster" && !wide {
		return fmt.Errorf("%s is made at a place, not on: cluster", made.Use.Name)
	}
	st, err := s.begin(made, places)
	if err != nil {
		return err
	}
	defer st.changing.Unlock()
	if made.On == "cluster" {
		return change.ApplyTo(ctx, st.scope)
	}
	return st.scope.At(ctx, places, made.Use.Name, made.Use.Config)
}

// begin adds a step, which nobody else can undo before its mutex is unlocked.
func (s *Site) begin(made scenario.Step, places []string) (*step, error) {
	st := &step{id: made.ID, places: places, scope: &Scope{Cluster: s.Cluster, site: s, id: made.ID, undo: s.stack.Begin(made.ID)}}
	if made.On == "cluster" {
		st.reporter, _ = made.Use.Config.(ClusterReporter)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(made.ID) != nil {
		return nil, errors.New("already applied")
	}
	st.changing.Lock()
	s.steps = append(s.steps, st)
	return st, nil
}

// find returns a step, or nil. It is called with the mutex held.
func (s *Site) find(id string) *step {
	i := slices.IndexFunc(s.steps, func(st *step) bool { return st.id == id })
	if i < 0 {
		return nil
	}
	return s.steps[i]
}

// Undo undoes the step with this id, even when ctx is cancelled; undoing what was not made is not an error. What could not be undone
// is tried again by the next Undo or UndoAll.
func (s *Site) Undo(ctx context.Context, id string) error {
	s.mu.Lock()
	st := s.find(id)
	s.mu.Unlock()
	if st == nil {
		return nil
	}
	return s.undo(context.WithoutCancel(ctx), st)
}

// undo undoes a step for as long as ctx lasts.
func (s *Site) undo(ctx context.Context, st *step) error {
	st.changing.Lock()
	defer st.changing.Unlock()
	if err := st.scope.undo.UndoUntil(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = slices.DeleteFunc(s.steps, func(other *step) bool { return other == st })
	return nil
}

// UndoAll undoes all steps, last first and past errors, for as long as ctx lasts.
func (s *Site) UndoAll(ctx context.Context) error {
	s.mu.Lock()
	steps := slices.Clone(s.steps)
	s.mu.Unlock()
	var errs []error
	for _, st := range slices.Backward(steps) {
		errs = append(errs, s.undo(ctx, st))
	}
	return errors.Join(errs...)
}

// ChangeReadings asks a change that is applied for its readings, at all its places; one to the cluster as a whole at "cluster".
func (s *Site) ChangeReadings(ctx context.Context, id string) (map[string]map[string]float64, error) {
	s.mu.Lock()
	st := s.find(id)
	s.mu.Unlock()
	switch {
	case st == nil:
		return nil, nil
	case len(st.places) > 0:
		return st.scope.Read(ctx, st.places)
	}
	var values map[string]float64
	if st.reporter != nil {
		var err error
		if values, err = st.reporter.ReadFrom(ctx, st.scope); err != nil {
			return nil, err
		}
	}
	return map[string]map[string]float64{"cluster": changes.WithApplied(values, st.scope.undo)}, nil
}

// Meetings asks a change that is applied at places which flows it has acted on since the last call.
func (s *Site) Meetings(ctx context.Context, id string) (map[string]changes.Met, error) {
	s.mu.Lock()
	st := s.find(id)
	s.mu.Unlock()
	if st == nil {
		return nil, nil
	}
	return ask(ctx, st.scope, st.places, changes.Meetings)
}

// Find asks the first of the places that a selector covers for its address and its link.
func (s *Site) Find(ctx context.Context, on string) (changes.Pod, error) {
	places, err := s.Resolve(on)
	if err != nil {
		return changes.Pod{}, err
	}
	conn, err := s.Agent(places[0])
	if err != nil {
		return changes.Pod{}, err
	}
	found, err := changes.ReadPod.Call(ctx, conn, agent.None{}, nil)
	if err != nil {
		return found, fmt.Errorf("%s: %w", on, err)
	}
	return found, nil
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
			if err != nil {
				errs[i] = &atPlace{place, err}
			}
			return nil
		})
	}
	_ = group.Wait()
	return errors.Join(errs...)
}

// atPlace is an error of one place. Its text is the agent's, which names the place.
type atPlace struct {
	place string
	error
}

func (e *atPlace) Unwrap() error { return e.error }

// FailedAt lists the places that an error of Apply or Undo is about. There are none if it is about the step as a whole.
func FailedAt(err error) []string {
	switch e := err.(type) { //nolint:errorlint // the tree of wrapped errors is walked here, one by one
	case *atPlace:
		return []string{e.place}
	case interface{ Unwrap() error }:
		return FailedAt(e.Unwrap())
	case interface{ Unwrap() []error }:
		var places []string
		for _, one := range e.Unwrap() {
			places = append(places, FailedAt(one)...)
		}
		return places
	}
	return nil
}
