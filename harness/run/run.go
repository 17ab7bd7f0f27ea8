package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/offers"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/version"
)

// engine is one run under way.
type engine struct {
	Options
	dir     string
	state   *runstate.Run
	host    *guard.Guard
	history *history.Writer
	// abort ends the run, with the reason.
	abort context.CancelCauseFunc

	mu    sync.Mutex
	facts rundir.Run

	recent sync.Mutex
	events []history.Event

	pausing sync.Once
}

// Run takes the scenario through its phases and returns the run folder, which holds everything that was seen. An error means
// that there is no run to judge: what goes wrong in the cluster is part of the history.
func Run(ctx context.Context, o Options) (dir string, err error) {
	if o.Slots == nil {
		var cancel func()
		ctx, cancel = context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("the run took longer than its limit of %s", o.Timeout))
		defer cancel()
	}
	// What this run finds must be the machine as it usually is.
	if err := runstate.WaitHost(ctx); err != nil {
		return "", err
	}
	found, err := o.Provider.Offers(ctx)
	if err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", context.Cause(ctx) // what was not found out because of that is not missing
	}
	maps.Copy(found, offers.Proxy(o.Proxy, found["cni-drops-invalid"].OK))
	if err := checkObjects(o, found); err != nil {
		return "", err
	}
	e := &engine{Options: o}
	ctx, e.abort = context.WithCancelCause(ctx)
	defer e.abort(nil)
	if e.state, err = runstate.New(o.Scenario.Metadata.ID, o.Command); err != nil {
		return "", err
	}
	start := time.Now()
	if err := e.begin(ctx, start, found); err != nil {
		return e.dir, errors.Join(err, e.state.Remove())
	}
	if o.createHistory == nil {
		o.createHistory = createHistory
	}
	file, err := o.createHistory(filepath.Join(e.dir, rundir.HistoryFile))
	if err != nil {
		return e.dir, errors.Join(err, e.state.Remove())
	}
	e.history = history.NewWriter(file, start, e.watch, e.abort)
	err = e.onHost(ctx)
	return e.dir, errors.Join(err, e.history.Close())
}

// checkObjects asks the provider about all objects that this cluster may get, also those that are applied later. What needs something
// that the cluster does not offer is skipped, so its objects are never applied.
func checkObjects(o Options, found map[string]offers.Offer) error {
	for _, objects := range o.Scenario.Objects() {
		if slices.ContainsFunc(objects.Needs, func(need string) bool { return !found[need].OK }) {
			continue
		}
		if errs := o.Provider.Check(objects.JSON); len(errs) > 0 {
			return fmt.Errorf("scenario %s: %w", o.Scenario.Metadata.ID, errors.Join(errs...))
		}
	}
	return nil
}

func createHistory(path string) (history.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o644)
}

// watch keeps what waits look at, and passes every event on.
func (e *engine) watch(event history.Event) {
	switch event.Kind {
	case history.KindLog, history.KindSample, history.KindMet, history.KindReading, history.PhaseBegin:
		e.recent.Lock()
		e.events = append(e.events, event)
		e.recent.Unlock()
	}
	if e.Watch != nil {
		e.Watch(event)
	}
}

// seen returns a copy of the events until now.
func (e *engine) seen() []history.Event {
	e.recent.Lock()
	defer e.recent.Unlock()
	return slices.Clone(e.events)
}

// begin makes the run folder with what is known before anything happens.
func (e *engine) begin(ctx context.Context, start time.Time, found map[string]offers.Offer) error {
	s := e.Scenario
	e.facts = rundir.Run{
		ID: e.state.ID, Scenario: s.Metadata.ID, Title: s.Metadata.Title, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(e.Source)),
		Cluster: e.Provider.Name(), Proxy: e.Proxy, Start: start.Format(time.RFC3339Nano), Command: e.Command, Seed: e.Seed, Repeat: e.Repeat,
		Offers: found, Versions: e.Provider.Versions(ctx), Differences: e.Provider.Differences(),
		Skipped: map[string]string{}, Netns: map[string]uint64{},
	}
	e.facts.Versions["relapse"], e.facts.Versions["go"] = version.String(), runtime.Version()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err == nil {
		e.facts.Versions["kernel"] = unix.ByteSliceToString(uts.Release[:])
	}
	for _, v := range s.Variants {
		if why := e.skip(v, found); why != "" {
			e.facts.Skipped[v.ID] = why
		}
	}
	dir, err := rundir.MakeFolder(e.Out, start.Format("20060102-150405")+"-"+s.Metadata.ID+"-"+e.Provider.Name())
	if err != nil {
		return err
	}
	e.dir = dir
	return errors.Join(
		os.MkdirAll(filepath.Join(dir, rundir.EvidenceDir, "logs"), 0o755),
		rundir.WriteFile(dir, rundir.ScenarioFile, e.Source),
		rundir.WriteJSON(dir, rundir.RunFile, e.facts),
	)
}

// skip says why a variant cannot run here, or nothing.
func (e *engine) skip(v scenario.Variant, offers map[string]offers.Offer) string {
	if len(e.Variants) > 0 && !slices.Contains(e.Variants, v.ID) {
		return rundir.NotAskedFor
	}
	for _, need := range e.Scenario.NeedsOf(&v) {
		if offer := offers[need]; !offer.OK {
			return fmt.Sprintf("this machine does not offer %s: %s", need, offer.Why)
		}
	}
	if v.HostChanges && !e.AllowHostChanges {
		return "it changes a setting of the whole machine; --allow-host-changes lets it"
	}
	return ""
}

// onHost runs the lanes between two looks at the host.
func (e *engine) onHost(ctx context.Context) error {
	if len(e.facts.Skipped) == len(e.Scenario.Variants) {
		return e.state.Remove()
	}
	host, err := guard.Start(ctx, e.Agent, filepath.Join(e.dir, rundir.EvidenceDir, "logs", "host.log"), e.state)
	if err != nil {
		return errors.Join(err, e.state.Remove())
	}
	e.host = host
	before, err := e.fingerprint(ctx, host.Conn(), true)
	if err != nil {
		return errors.Join(err, host.Close())
	}
	stopLog := e.followKernelLog(ctx)
	unhook := e.watchGuard(ctx)
	e.lanes(ctx)
	unhook()
	stopLog()
	e.compare(ctx, host.Conn(), "", "host", before, true, nil)
	// The guard lets go of the run before the harness does: from here on nothing is left to guard.
	return errors.Join(host.Close(), e.state.Close())
}

// lanes runs all lanes: side by side, but those that change the host or a cluster that lanes share one by one, when the others are done.
func (e *engine) lanes(ctx context.Context) {
	var together, alone []*lane
	whole := e.Whole()
	for i := range e.Scenario.Variants {
		v := &e.Scenario.Variants[i]
		if _, skipped := e.facts.Skipped[v.ID]; skipped {
			continue
		}
		for _, l := range e.plan(e.Scenario, v) {
			l.whole = whole
			if v.HostChanges || whole || e.PauseAt != "" {
				alone = append(alone, l)
			} else {
				together = append(together, l)
			}
		}
	}
	var all sync.WaitGroup
	for _, l := range together {
		leave := e.slot(ctx)
		all.Go(func() {
			defer leave()
			l.run(ctx)
		})
	}
	if e.SlotsTaken != nil {
		e.SlotsTaken()
	}
	all.Wait()
	if len(alone) > 0 && e.Alone != nil {
		if err := e.Alone(ctx); err != nil {
			e.history.Add(history.Event{Kind: history.KindError, Text: err.Error()})
			return
		}
	}
	for _, l := range alone {
		l.run(ctx)
	}
}

// slot waits until one more lane may live, or until ctx ends, of which the lane itself will tell.
func (e *engine) slot(ctx context.Context) (leave func()) {
	if e.Slots == nil || e.Slots.Acquire(ctx, 1) != nil {
		return func() {}
	}
	return func() { e.Slots.Release(1) }
}

// plan makes the lanes of a variant of the scenario.
func (e *engine) plan(s *scenario.Scenario, v *scenario.Variant) []*lane {
	var lanes []*lane
	for _, l := range plan.Lanes(s, v, plan.Repaired(v, e.offered)) {
		lanes = append(lanes, &lane{engine: e, Scenario: s, variant: v, name: l.Name, phases: l.Phases})
	}
	return lanes
}

// offered is whether the cluster gives something.
func (e *engine) offered(need string) bool { return e.facts.Offers[need].OK }

// note keeps the namespaces of a lane in run.json, so that log lines can be told apart when an old run is judged again.
func (e *engine) note(ctx context.Context, lane string, cluster clusters.Cluster) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	netns := maps.Clone(e.facts.Netns)
	for _, place := range cluster.Places() {
		inode, err := readers.ReadNetns.Call(ctx, cluster.Agent(place), agent.None{}, nil)
		if err != nil {
			return err
		}
		netns[lane+" "+place] = inode
	}
	e.facts.Netns = netns
	return rundir.WriteJSON(e.dir, rundir.RunFile, e.facts)
}

func (e *engine) status(lane, doing string) {
	if e.Status != nil {
		e.Status(lane, strings.TrimSpace(doing))
	}
}
