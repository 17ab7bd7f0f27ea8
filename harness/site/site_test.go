package site_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/clustertest"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

// recorder is an agent that remembers which changes are applied.
type recorder struct {
	mu      sync.Mutex
	applied map[string]bool
	undone  []string
	refuse  error
}

func (r *recorder) ops() map[string]agent.Handler {
	ops := map[string]agent.Handler{}
	changes.Apply.Handle(ops, func(_ context.Context, q changes.Request, _ func(agent.None)) (agent.None, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.applied[q.ID] = true
		return agent.None{}, nil
	})
	changes.Undo.Handle(ops, func(_ context.Context, id string, _ func(agent.None)) (agent.None, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse != nil {
			return agent.None{}, r.refuse
		}
		delete(r.applied, id)
		r.undone = append(r.undone, id)
		return agent.None{}, nil
	})
	return ops
}

func newSite(t *testing.T) (*site.Site, *recorder) {
	r := &recorder{applied: map[string]bool{}}
	cluster := &clustertest.Cluster{}
	cluster.Serve("node/node-1", r.ops(), nil)
	t.Cleanup(func() { NewWithT(t).Expect(cluster.Close(context.Background())).To(Succeed()) })
	return site.New(cluster, nil, "r1"), r
}

func step(id string) scenario.Step {
	return scenario.Step{ID: id, On: "nodes", Use: scenario.Use{Name: "anything", Config: struct{}{}}}
}

func TestStepsAreUndoneLastFirst(t *testing.T) {
	g := NewWithT(t)
	s, r := newSite(t)
	for _, id := range []string{"a", "b", "c"} {
		g.Expect(s.Apply(t.Context(), step(id))).To(Succeed())
	}
	g.Expect(s.Undo(t.Context(), "b")).To(Succeed())
	g.Expect(s.UndoAll(t.Context())).To(Succeed())
	g.Expect(r.undone).To(Equal([]string{"b", "c", "a"}))
	g.Expect(s.Undo(t.Context(), "never made")).To(Succeed())
}

func TestWhatCouldNotBeUndoneIsTriedAgain(t *testing.T) {
	g := NewWithT(t)
	s, r := newSite(t)
	g.Expect(s.Apply(t.Context(), step("a"))).To(Succeed())
	r.refuse = errors.New("busy")
	g.Expect(s.Undo(t.Context(), "a")).To(MatchError("undo of change a: undo anything: node/node-1: change/undo: busy"))
	r.refuse = nil
	g.Expect(s.UndoAll(t.Context())).To(Succeed())
	g.Expect(r.applied).To(BeEmpty())
}

func TestUndoAllEndsWithItsContext(t *testing.T) {
	g := NewWithT(t)
	cluster := &clustertest.Cluster{}
	began := make(chan struct{})
	ops := (&recorder{applied: map[string]bool{}}).ops()
	changes.Undo.Handle(ops, func(ctx context.Context, _ string, _ func(agent.None)) (agent.None, error) {
		close(began)
		<-ctx.Done()
		return agent.None{}, ctx.Err()
	})
	cluster.Serve("node/node-1", ops, nil)
	t.Cleanup(func() { g.Expect(cluster.Close(context.Background())).To(Succeed()) })
	s := site.New(cluster, nil, "r1")
	g.Expect(s.Apply(t.Context(), step("a"))).To(Succeed())
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-began; cancel(errors.New("the time is up")) }()
	g.Expect(s.UndoAll(ctx)).To(MatchError(ContainSubstring("the time is up")))
}

// It is the race detector that this test is for, and a step that would be lost between its Apply and an UndoAll.
func TestSiteFromSeveralGoroutines(t *testing.T) {
	g := NewWithT(t)
	s, r := newSite(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			id := fmt.Sprint("step-", i)
			g.Expect(s.Apply(t.Context(), step(id))).To(Succeed())
		})
		all.Go(func() { g.Expect(s.UndoAll(t.Context())).To(Succeed()) })
		all.Go(func() { g.Expect(s.Undo(t.Context(), fmt.Sprint("step-", i))).To(Succeed()) })
	}
	all.Wait()
	g.Expect(s.UndoAll(t.Context())).To(Succeed())
	g.Expect(r.applied).To(BeEmpty())
}
