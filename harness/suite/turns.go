package suite

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/run"
)

// order lists the runs by when they begin: exclusive ones last, and before that those with more to do first, so that at the end
// the machine does not wait for one. Nobody knows how long a scenario takes: its lanes, and their attempts, stand for that.
func order(runs []run.Options) []int {
	list := make([]int, len(runs))
	for i := range runs {
		list[i] = i
	}
	slices.SortStableFunc(list, func(a, b int) int {
		first, second := runs[a].Scenario.Topology.Exclusive, runs[b].Scenario.Topology.Exclusive
		if first != second {
			return cmp.Compare(map[bool]int{true: 1}[first], map[bool]int{true: 1}[second])
		}
		return cmp.Compare(work(runs[b]), work(runs[a]))
	})
	return list
}

// work is how many attempts all lanes of a run make.
func work(o run.Options) int {
	sum := 0
	for i := range o.Scenario.Variants {
		v := &o.Scenario.Variants[i]
		for _, l := range plan.Lanes(o.Scenario, v, false) {
			for _, p := range l.Phases {
				for _, probe := range o.Scenario.ProbesOf(v.ID) {
					sum += plan.Attempts(v, probe, p.Phase, o.Repeat)
				}
			}
		}
	}
	return sum
}

// turns says when a run begins, and when it has the machine for itself. The lanes of one run after the other take the slots, so
// that no run is begun, and looks at the host, long before its labs can be made.
type turns struct {
	slots *semaphore.Weighted
	// beside counts the runs whose lanes live beside those of others.
	beside sync.WaitGroup
	// begun is closed when no more runs begin; alone belongs to the run that has the machine.
	begun chan struct{}
	alone *semaphore.Weighted
}

// turn is one run's.
type turn struct {
	*turns
	exclusive bool
	seats     sync.Once
	hasSeats  chan struct{}
	parts     sync.Once
	parted    chan struct{}
	release   func()
}

// next waits until a lab can be made, or for an exclusive run until there is no other, and returns the turn of the next run.
// Where ctx ends it returns at once.
func (t *turns) next(ctx context.Context, exclusive bool) *turn {
	if exclusive {
		t.beside.Wait()
	}
	if t.slots.Acquire(ctx, 1) == nil {
		t.slots.Release(1)
	}
	t.beside.Add(1)
	return &turn{turns: t, exclusive: exclusive, hasSeats: make(chan struct{}), parted: make(chan struct{}), release: func() {}}
}

// settled waits until the run's lanes have all they need, so that the next run can have what is left.
func (t *turn) settled() {
	if t.exclusive {
		<-t.parted
		return
	}
	select {
	case <-t.hasSeats:
	case <-t.parted:
	}
}

func (t *turn) seated() { t.seats.Do(func() { close(t.hasSeats) }) }

// part says that the run has no lanes any more that live beside those of others.
func (t *turn) part() {
	t.parts.Do(func() {
		close(t.parted)
		t.beside.Done()
	})
}

// wholeMachine waits until nothing else runs, nor will before the turn is over.
func (t *turn) wholeMachine(ctx context.Context) error {
	t.part()
	<-t.begun
	t.beside.Wait()
	if err := t.alone.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	t.release = func() { t.alone.Release(1) }
	return nil
}

func (t *turn) over() {
	t.part()
	t.release()
}
