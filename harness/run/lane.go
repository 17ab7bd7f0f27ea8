package run

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

// lane is one cluster going through the phases.
type lane struct {
	*engine
	// Scenario is the engine's, as it is in the lane's part of a cluster that lanes share.
	Scenario *scenario.Scenario
	variant  *scenario.Variant
	name     string
	phases   []plan.Phase
	// whole means that the lane has the whole of such a cluster.
	whole bool

	site  *site.Site
	phase string
	// reads lists what is read in each phase.
	reads []read
	// next is the number of the next attempt: each has its own, but probes that run side by side have the same.
	next   int
	before map[string]fingerprint.Fingerprint
}

func (l *lane) add(e history.Event) {
	e.Lane = l.name
	if e.Phase == "" {
		e.Phase = l.phase
	}
	l.history.Add(e)
}

// run takes the lane through its phases. What goes wrong is recorded; the cluster is closed in any case.
func (l *lane) run(ctx context.Context) {
	if l.Slots != nil {
		// Waiting for the lanes of other runs does not count as this run's time.
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, l.Timeout, fmt.Errorf("the lane took longer than its limit of %s", l.Timeout))
		defer cancel()
	}
	err := l.live(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx) // what fails after that fails because the agents were interrupted
	}
	if err != nil {
		l.add(history.Event{Kind: history.KindError, Text: err.Error()})
	}
	l.status(l.name, "")
}

// create makes the lane's cluster when it is its turn.
func (l *lane) create(ctx context.Context) (clusters.Cluster, error) {
	if l.Making != nil {
		l.status(l.name, "waiting for other clusters to be made")
		if err := l.Making.Acquire(ctx, 1); err != nil {
			return nil, context.Cause(ctx)
		}
		defer l.Making.Release(1)
	}
	l.status(l.name, "making the cluster")
	return l.Provider.Create(ctx, clusters.Spec{
		Run: l.state.ID, Env: l.state.Env(), Name: l.name, Nodes: l.Scenario.Topology.Nodes, PodNetwork: l.Scenario.Topology.PodNetwork,
		Whole: l.whole, Proxy: l.Proxy, Workload: l.Scenario.WorkloadOf(l.variant), Logs: l.logs(), Progress: func(doing string) { l.status(l.name, doing) },
		Note: func(text string) { l.add(history.Event{Kind: history.KindNote, Text: text}) },
	})
}

func (l *lane) live(ctx context.Context) (err error) {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := os.MkdirAll(l.logs(), 0o755); err != nil {
		return err
	}
	cluster, err := l.create(ctx)
	if err != nil {
		return err
	}
	// A run that is cancelled does not wait for the attempts under way.
	unhook := context.AfterFunc(ctx, cluster.Interrupt)
	defer unhook()
	l.site = site.New(cluster, l.host.Conn(), l.state.ID)
	defer func() {
		for _, end := range []func(context.Context) error{l.site.UndoAll, cluster.Close} {
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
			err = errors.Join(err, end(limited))
			cancel()
		}
	}()
	if err := errors.Join(l.adapt(cluster), l.note(ctx, l.name, cluster), l.openProbes(ctx)); err != nil {
		return err
	}
	defer l.follow(ctx)()
	for _, p := range l.phases {
		if err := l.do(ctx, p); err != nil {
			return err
		}
		if p.Kind == "baseline" {
			if err := l.takeFingerprints(ctx); err != nil {
				return err
			}
		}
	}
	if err := cluster.Settle(ctx); err != nil {
		return err
	}
	l.compareFingerprints(ctx)
	return nil
}

// adapt loads the scenario again as it is in the lane's part of a cluster.
func (l *lane) adapt(cluster clusters.Cluster) error {
	part, ok := cluster.(clusters.Part)
	if !ok {
		return nil
	}
	adapted := part.Adapt(l.Source)
	if bytes.Equal(adapted, l.Source) {
		return nil
	}
	s, err := l.Load(adapted)
	if err != nil {
		return fmt.Errorf("the scenario in %s: %w", l.name, err)
	}
	keepReaders(l.Scenario, s)
	l.Scenario = s
	l.variant = &s.Variants[slices.IndexFunc(s.Variants, func(v scenario.Variant) bool { return v.ID == l.variant.ID })]
	for _, other := range l.plan(s, l.variant) {
		if other.name == l.name {
			l.phases = other.phases
		}
	}
	return nil
}

// keepReaders gives the readers of the adapted scenario the names that they have in the file, by which the judge looks for them.
func keepReaders(file, adapted *scenario.Scenario) {
	names := map[string]string{}
	each := func(s *scenario.Scenario, do func(path string, reader reflect.Value)) {
		scenario.Walk("", s, func(path string, value reflect.Value, f reflect.StructField) {
			if f.Tag.Get("ref") == "reader" && value.Kind() == reflect.String {
				do(path, value)
			}
		})
	}
	each(file, func(path string, reader reflect.Value) { names[path] = reader.String() })
	each(adapted, func(path string, reader reflect.Value) { reader.SetString(names[path]) })
}

// reader is the name of a reader in the lane's part of a cluster, where a Service has another address.
func (l *lane) reader(name string) string {
	if part, ok := l.site.Cluster.(clusters.Part); ok {
		return string(part.Adapt([]byte(name)))
	}
	return name
}

func (l *lane) logs() string {
	return filepath.Join(l.dir, rundir.EvidenceDir, "logs", strings.ReplaceAll(l.name, "/", "-"))
}

// do takes the cluster through one phase.
func (l *lane) do(ctx context.Context, p plan.Phase) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.phase = p.String()
	l.add(history.Event{Kind: history.PhaseBegin})
	l.status(l.name, l.phase)
	if err := l.undo(ctx, p.Undo); err != nil {
		return err
	}
	for _, step := range p.Apply {
		l.status(l.name, l.phase+": "+step.Use.Name)
		if err := l.change(step, "apply", l.site.Apply(ctx, step)); err != nil {
			return err
		}
	}
	if p.Settles {
		// A cluster that is not healthy before the fault proves nothing; one that is not afterwards is for the judge to see.
		if err := l.waitHealthy(ctx); err != nil && p.Kind == "baseline" {
			return fmt.Errorf("the cluster was not healthy before the fault: %w", err)
		}
	}
	if err := l.waitFor(ctx, p.Until); err != nil {
		return err
	}
	if err := l.observe(ctx, p); err != nil {
		return err
	}
	if err := l.pause(ctx, l.phase); err != nil {
		return err
	}
	l.add(history.Event{Kind: history.PhaseEnd})
	return ctx.Err()
}

// undo undoes steps, last first and past errors.
func (l *lane) undo(ctx context.Context, steps []scenario.Step) error {
	var errs []error
	for _, step := range slices.Backward(steps) {
		errs = append(errs, l.change(step, "undo", l.site.Undo(ctx, step.ID)))
	}
	return errors.Join(errs...)
}

// change records that a step was made or undone, at each of its places, and an error at those where it failed.
func (l *lane) change(step scenario.Step, action string, err error) error {
	places, resolveErr := l.site.Resolve(step.On)
	if resolveErr != nil || len(places) == 0 {
		places = []string{step.On}
	}
	failed := site.FailedAt(err)
	for _, place := range places {
		c := &history.Change{ID: step.ID, Name: step.Use.Name, On: place, Action: action}
		if err != nil && (len(failed) == 0 || slices.Contains(failed, place)) {
			c.Error = err.Error()
		}
		l.add(history.Event{Kind: history.KindChange, Change: c})
	}
	return err
}

// takeFingerprints takes the fingerprint of every place before the fault.
func (l *lane) takeFingerprints(ctx context.Context) error {
	l.before = map[string]fingerprint.Fingerprint{}
	var mu sync.Mutex
	return l.everywhere(func(place string, conn *agent.Conn) error {
		f, err := l.fingerprint(ctx, conn, false)
		mu.Lock()
		defer mu.Unlock()
		l.before[place] = f
		return err
	})
}

func (l *lane) compareFingerprints(ctx context.Context) {
	explained := l.renewed(ctx)
	_ = l.everywhere(func(place string, conn *agent.Conn) error {
		// A pod that a controller made in place of another has nothing to be compared with.
		if before, was := l.before[place]; was {
			l.compare(ctx, conn, l.name, place, before, false, explained)
		}
		return nil
	})
}

// everywhere calls f for all places of the cluster, a few at once.
func (l *lane) everywhere(f func(place string, conn *agent.Conn) error) error {
	places := l.site.Cluster.Places()
	errs := make([]error, len(places))
	var all sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, place := range places {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = f(place, l.site.Cluster.Agent(place))
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// pause leaves everything as it is until a person presses Enter.
func (l *lane) pause(ctx context.Context, phase string) error {
	if l.PauseAt != phase {
		return nil
	}
	var err error
	l.pausing.Do(func() {
		l.status(l.name, "")
		l.explain(phase)
		line := make(chan error, 1)
		go func() { // which a terminal may keep until the program ends: a read cannot be cancelled
			_, err := bufio.NewReader(l.Resume).ReadString('\n')
			line <- err
		}()
		select {
		case err = <-line:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	})
	if err != nil {
		return fmt.Errorf("waiting for Enter: %w", err)
	}
	return nil
}

// explain prints the commands with which a person can look around meanwhile.
func (l *lane) explain(phase string) {
	fmt.Fprintf(l.Prompt, "\nHeld open: %s, phase %s. Everything stays as it is until you press Enter.\n\n", l.name, phase)
	enter := func(place string) string { return strings.Join(l.site.Cluster.Enter(place), " ") }
	for _, place := range l.site.Cluster.Places() {
		fmt.Fprintf(l.Prompt, "  %-22s %s bash\n", place, enter(place))
	}
	nodes, err := l.site.Resolve("nodes")
	if err != nil || len(nodes) == 0 {
		return
	}
	fmt.Fprintf(l.Prompt, `
  counters               %[1]s conntrack -S
  rules                  %[1]s nft list ruleset
  capture                %[1]s tcpdump -ni any port 53
`, enter(nodes[0]))
}
