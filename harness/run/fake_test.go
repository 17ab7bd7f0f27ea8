package run_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/clustertest"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// TestMain makes the test binary play the guard of the runs on fake clusters, when it is started as one: relapse-agent host RUN.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "host" {
		err := guard.Main(context.Background(), os.Args[2], func(*undo.Stack) map[string]agent.Handler {
			ops := map[string]agent.Handler{}
			(&faults.Server{Stack: &undo.Stack{}}).Register(ops)
			readers.TakeFingerprint.Handle(ops, func(context.Context, fingerprint.Options, func(agent.None)) (fingerprint.Fingerprint, error) {
				return fingerprint.Fingerprint{}, nil
			})
			return ops
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// Labs start their agents from one thread that never ends.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/relapse-k8s/relapse/clusters/agent/procs.startChildren"))
}

// fake is a run on fake clusters: agents in this process, with their real servers of changes and probes. Of the kernel there is nothing:
// the only change is "switch", and the probe fails while the step "fault" is applied and the step "cure" is not.
type fake struct {
	*testing.T
	run.Options
	out string

	// before, if not nil, is called before an agent does something: apply, undo or read a step at a place, or take a reading ("read").
	before func(ctx context.Context, l *fakeLane, action, id, place string) error
	// made, if not nil, is called with every cluster that was made.
	made func(*fakeLane) error
	// sample, if not nil, makes the attempts in place of the real probes.
	sample func(ctx context.Context, s probes.Sampling) (made int)
	// leaves is whether changes, and the run's state for relapse clean, may be left.
	leaves bool

	mu    sync.Mutex
	lanes map[string]*fakeLane
	// alive is how many clusters there are, most how many there were at once.
	alive, most int
}

// fakeLane is the cluster of one lane.
type fakeLane struct {
	*clustertest.Cluster
	f      *fake
	name   string
	server *httptest.Server

	mu sync.Mutex
	// applied lists what is applied, as in "fault node/node-1"; log all that was applied and undone.
	applied, log []string
	failures     float64
}

// fakeSwitch is the change "switch".
type fakeSwitch struct {
	place string
	lane  *fakeLane
	id    string
}

func (s *fakeSwitch) Apply(ctx context.Context, ns *faults.Namespace) error {
	lane := ns.Clients.(*fakeLane)
	id, _, _ := strings.Cut(strings.TrimPrefix(ns.Name, undo.Prefix+"_"), "_")
	s.lane, s.id, s.place = lane, id, ns.Place
	if err := lane.before(ctx, "apply", id, ns.Place); err != nil {
		return err
	}
	if err := ns.Scope.PushFunc("switch off", func(ctx context.Context) error {
		what := id + " " + ns.Place
		err := lane.before(ctx, "undo", id, ns.Place)
		lane.mu.Lock()
		defer lane.mu.Unlock()
		if err != nil {
			lane.log = append(lane.log, "failed "+what)
			return err
		}
		lane.applied = slices.DeleteFunc(lane.applied, func(one string) bool { return one == what })
		lane.log = append(lane.log, "undo "+what)
		return nil
	}); err != nil {
		return err
	}
	lane.mu.Lock()
	defer lane.mu.Unlock()
	lane.applied = append(lane.applied, id+" "+ns.Place)
	lane.log = append(lane.log, "apply "+id+" "+ns.Place)
	return nil
}

func (s *fakeSwitch) Readings(ctx context.Context) (map[string]float64, error) {
	return map[string]float64{"applied": 1}, s.lane.before(ctx, "read", s.id, s.place)
}

// Renew is not needed: a lane is the Clients of its agents only so that their changes find it.
func (l *fakeLane) Renew(string) (func() error, error) {
	return nil, errors.New("nothing to renew")
}

// Port is not needed either.
func (l *fakeLane) Port(string) uint16 { return 0 }

func (l *fakeLane) before(ctx context.Context, action, id, place string) error {
	if l.f.before == nil {
		return nil
	}
	return l.f.before(ctx, l, action, id, place)
}

func (l *fakeLane) isApplied(id string) bool {
	return slices.ContainsFunc(l.applied, func(what string) bool { return strings.HasPrefix(what, id+" ") })
}

// ServeHTTP answers the probe.
func (l *fakeLane) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isApplied("fault") && !l.isApplied("cure") {
		l.failures++
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// operations of an agent, and what it does at its end.
func (l *fakeLane) operations(place, url string) (map[string]agent.Handler, func()) {
	ops := map[string]agent.Handler{}
	stack := &undo.Stack{}
	(&faults.Server{Stack: stack, Clients: l}).Register(ops)
	(&probes.Server{}).Register(ops)
	open := ops[probes.OpenProbe.Name]
	probes.OpenProbe.Handle(ops, func(ctx context.Context, o probes.Opening, emit func(agent.None)) (agent.None, error) {
		o.Config, _ = json.Marshal(probes.HTTP{URL: url}) // what the name of the server means in this lane
		raw, err := json.Marshal(o)
		if err != nil {
			return agent.None{}, err
		}
		_, err = open(ctx, raw, func(any) {})
		return agent.None{}, err
	})
	if l.f.sample != nil {
		probes.SampleProbe.Handle(ops, func(ctx context.Context, s probes.Sampling, emit func(probes.Sample)) (int, error) {
			made := l.f.sample(ctx, s)
			for range made {
				emit(probes.Sample{Start: time.Now()})
			}
			return made, nil
		})
	}
	readers.Read.Handle(ops, func(ctx context.Context, _ readers.Question, _ func(agent.None)) (map[string]float64, error) {
		if err := l.before(ctx, "read", "", place); err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		return map[string]float64{"insert_failed": l.failures}, nil
	})
	readers.ReadNetns.Handle(ops, func(context.Context, agent.None, func(agent.None)) (uint64, error) { return 1, nil })
	readers.RunCommand.Handle(ops, func(_ context.Context, argv []string, _ func(agent.None)) (string, error) {
		return "output of " + strings.Join(argv, " "), nil
	})
	readers.Capture.Handle(ops, func(ctx context.Context, _ readers.Capturing, emit func(readers.Packet)) (int, error) {
		emit(readers.Packet{Time: time.Now(), Data: make([]byte, 64), Length: 64})
		<-ctx.Done()
		return 1, nil
	})
	readers.TakeFingerprint.Handle(ops, func(context.Context, fingerprint.Options, func(agent.None)) (fingerprint.Fingerprint, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		return fingerprint.Fingerprint{Sysctls: map[string]string{"applied": strings.Join(l.applied, ", ")}}, nil
	})
	return ops, func() { _ = stack.Close(context.Background()) }
}

// newFake is a run of testdata/fake.yaml, which passes.
func newFake(t *testing.T) *fake {
	g := NewWithT(t)
	t.Setenv(runstate.EnvDir, t.TempDir())
	f := &fake{T: t, out: t.TempDir(), lanes: map[string]*fakeLane{}}
	faults.Catalogue["switch"] = faults.Entry{New: func() any { return &fakeSwitch{} }}
	t.Cleanup(func() { delete(faults.Catalogue, "switch") })
	path := filepath.Join("testdata", "fake.yaml")
	source, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	s, err := load.Parse(path, source, f.catalogues())
	g.Expect(err).NotTo(HaveOccurred())
	f.Options = run.Options{
		Scenario: s, Source: source, Provider: clustertest.Provider{Make: f.create}, Agent: os.Args[0], Proxy: "nftables",
		Timeout: time.Minute, Out: f.out,
	}
	return f
}

func (f *fake) catalogues() scenario.Catalogues {
	all := catalogue.All()
	all.Changes = maps.Clone(all.Changes)
	all.Changes["switch"] = func() any { return &fakeSwitch{} }
	return all
}

func (f *fake) create(_ context.Context, spec clusters.Spec) (clusters.Cluster, error) {
	l := &fakeLane{f: f, name: spec.Name, Cluster: &clustertest.Cluster{}}
	l.server = httptest.NewServer(l)
	for _, place := range []string{"node/node-1", "node/node-2", "pod/client"} {
		operations, end := l.operations(place, l.server.URL)
		l.Serve(place, operations, end)
	}
	f.mu.Lock()
	f.lanes[spec.Name] = l
	f.alive++
	f.most = max(f.most, f.alive)
	f.mu.Unlock()
	if f.made != nil {
		if err := f.made(l); err != nil {
			return nil, errors.Join(err, l.Close(context.Background()))
		}
	}
	return l, nil
}

// Close ends the lane's agents, and the server of its probe.
func (l *fakeLane) Close(ctx context.Context) error {
	err := l.Cluster.Close(ctx)
	l.server.Close()
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	l.f.alive--
	return err
}

// result is how a run ended.
type result struct {
	judge.Verdict
	dir    string
	err    error
	events []history.Event
}

// conclude runs the scenario, judges it, and checks what must be so however the run ended: every change undone, the last one first, no cluster
// and no goroutine left, a history that can be read, and a verdict that is the same when the folder is judged again.
func (f *fake) conclude(ctx context.Context) result {
	f.Helper()
	g := NewWithT(f.T)
	before := goleak.IgnoreCurrent()
	var r result
	r.dir, r.Verdict, r.err = session.Run(ctx, f.Options, f.catalogues())
	f.Logf("%s: %s; error: %v", r.Outcome, r.Reason, r.err)
	g.Expect(f.alive).To(Equal(0), "every cluster is closed")
	for name, l := range f.lanes {
		if f.leaves {
			break
		}
		g.Expect(l.applied).To(BeEmpty(), name+": every change is undone")
		for _, place := range l.Places() {
			g.Expect(undoneLastFirst(l.log, place)).To(BeTrue(), "%s: %s: %v", name, place, l.log)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	g.Expect(goleak.Find(before)).To(Succeed(), "no goroutine is left")
	if r.dir != "" {
		var err error
		r.events, err = history.Read(filepath.Join(r.dir, "history.jsonl"))
		if !errors.Is(err, os.ErrNotExist) {
			g.Expect(err).NotTo(HaveOccurred(), "the history can be read")
		}
		_, again, err := session.Judge(r.dir, f.catalogues())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again.Outcome).To(Equal(r.Outcome), "the run is judged alike later")
		g.Expect(again.Reason).To(Equal(r.Reason))
	}
	state, err := os.ReadDir(os.Getenv(runstate.EnvDir))
	g.Expect(err).NotTo(HaveOccurred())
	for _, entry := range state {
		if f.leaves {
			break
		}
		g.Expect(runstate.ValidID(entry.Name())).To(BeFalse(), "the run's state is removed")
	}
	return r
}

// undoneLastFirst says whether what was applied at a place was undone, the last one first. An undo that failed is tried again later.
func undoneLastFirst(log []string, place string) bool {
	var applied []string
	late := map[string]bool{}
	for _, line := range log {
		action, what, _ := strings.Cut(line, " ")
		if !strings.HasSuffix(what, " "+place) {
			continue
		}
		if action == "apply" {
			applied = append(applied, what)
			continue
		}
		if late[what] && action == "undo" {
			delete(late, what)
			continue
		}
		if len(applied) == 0 || applied[len(applied)-1] != what {
			return false
		}
		late[what] = action == "failed"
		applied = applied[:len(applied)-1]
	}
	return len(applied) == 0 && !slices.Contains(slices.Collect(maps.Values(late)), true)
}

// at calls do when the first attempt of the probe in a phase has been recorded.
func (f *fake) at(phase string, do func(lane string)) {
	var once sync.Once
	f.Watch = func(e history.Event) {
		if e.Kind == history.KindSample && e.Phase == phase {
			once.Do(func() { do(e.Lane) })
		}
	}
}

// lockedBuffer is a buffer that a lane writes to while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
