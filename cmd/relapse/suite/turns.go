package suite

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/run"
)

// order is the order in which the runs begin: those with more to do first, so that the machine does not wait for a long one at the end,
// and exclusive ones last. How much a scenario has to do is estimated by the attempts of all its lanes.
func order(runs []run.Options) []int {
	list := make([]int, len(runs))
	for i := range runs {
		list[i] = i
	}
	slices.SortStableFunc(list, func(a, b int) int {
		first, second := exclusive(runs[a]), exclusive(runs[b])
		if first != second {
			return cmp.Compare(map[bool]int{true: 1}[first], map[bool]int{true: 1}[second])
		}
		return cmp.Compare(work(runs[b]), work(runs[a]))
	})
	return list
}

// exclusive says if a run must have the machine or the cluster for itself.
func exclusive(o run.Options) bool { return o.Scenario.Topology.Exclusive || o.Whole() }

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

// Lanes is how many lanes live at a time if nobody says how many. They mostly wait; with more of them, time-outs that are measured come late.
func Lanes() int { return 10 * runtime.NumCPU() }

// InTurns calls one for each of the runs, several at once, with up to jobs clusters in all: i is the run's index, and o are its options with
// what they need to share the machine.
func InTurns(ctx context.Context, jobs int, runs []run.Options, one func(i int, o run.Options)) {
	turns := newTurns(jobs)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	go turns.making.watch(watching)
	var all sync.WaitGroup
	for _, i := range order(runs) {
		turn := turns.next(ctx, exclusive(runs[i]))
		all.Go(func() {
			defer turn.over()
			o := runs[i]
			o.Slots, o.SlotsTaken, o.Alone = turn.slots, turn.slotsTaken, turn.wholeMachine
			if !turn.exclusive { // a run that is alone makes all its clusters first, and then disturbs none that lives
				o.Making = turn.making
			}
			one(i, o)
		})
		turn.settled()
	}
	close(turns.begun)
	all.Wait()
}

func newTurns(jobs int) *turns {
	making := &calm{Weighted: semaphore.NewWeighted(int64(runtime.NumCPU())), runnable: runnable}
	return &turns{slots: semaphore.NewWeighted(int64(jobs)), making: making, alone: semaphore.NewWeighted(1), begun: make(chan struct{})}
}

// turns says when a run begins, and when it has the machine for itself. Runs take the slots for their lanes one after the other, so that
// no run begins, and takes the fingerprint of the host, long before its clusters can be made.
type turns struct {
	slots *semaphore.Weighted
	// making bounds how many clusters are made at a time: starting their programs is what keeps the CPUs busy. Lanes that live mostly wait.
	making *calm
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
	taken     sync.Once
	hasSlots  chan struct{}
	parts     sync.Once
	parted    chan struct{}
	release   func()
}

// next waits until a cluster can be made, or for an exclusive run until there is no other, and returns the turn of the next run. If ctx
// ends it returns at once.
func (t *turns) next(ctx context.Context, exclusive bool) *turn {
	if exclusive {
		t.beside.Wait()
	}
	if t.slots.Acquire(ctx, 1) == nil {
		t.slots.Release(1)
	}
	t.beside.Add(1)
	return &turn{turns: t, exclusive: exclusive, hasSlots: make(chan struct{}), parted: make(chan struct{}), release: func() {}}
}

// settled waits until the run's lanes have all they need, so that the next run can have what is left.
func (t *turn) settled() {
	if t.exclusive {
		<-t.parted
		return
	}
	select {
	case <-t.hasSlots:
	case <-t.parted:
	}
}

func (t *turn) slotsTaken() { t.taken.Do(func() { close(t.hasSlots) }) }

// part is called when the run has no more lanes beside those of others.
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
