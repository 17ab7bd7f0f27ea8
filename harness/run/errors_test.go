package run_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// allPhases of testdata/fake.yaml, each with a lane that goes through it.
var allPhases = []struct{ phase, lane string }{
	{"baseline", "default/cure"},
	{"fault", "default/cure"},
	{"remedy/cure", "default/cure"},
	{"relapse/cure", "default/cure"},
	{"control/useless", "default/useless"},
	{"restored", "default/cure"},
}

func TestARunOnAFakeClusterPasses(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	r := f.conclude(t.Context())
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Pass), r.Reason)
	g.Expect(f.lanes["default/cure"].log).To(ContainElements("apply fault node/node-2", "undo cure node/node-1"))
	g.Expect(f.lanes["default/useless"].log).To(ContainElement("apply beside pod/client"))
}

// TestAStepIsMadeWhileSamplesAreTaken: in each phase anew.
func TestAStepIsMadeWhileSamplesAreTaken(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.Scenario.Variants[0].Fault.Changes[1].After = units.Duration(3 * time.Millisecond)
	f.Source, _ = json.Marshal(f.Scenario)
	r := f.conclude(t.Context())
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Pass), r.Reason)
	times := map[string]int{}
	for _, done := range f.lanes["default/cure"].log {
		times[done]++
	}
	g.Expect(times).To(And(HaveKeyWithValue("apply second pod/client", 3), HaveKeyWithValue("undo second pod/client", 3)), "fault, remedy and relapse")
	g.Expect(times).To(HaveKeyWithValue("apply fault node/node-1", 1))
}

// errEnded is the reason for which tests cancel runs.
var errEnded = errors.New("ended by the test")

func TestCancelInEveryPhase(t *testing.T) {
	for _, at := range allPhases {
		t.Run(at.phase, func(t *testing.T) {
			g := NewWithT(t)
			f := newFake(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			f.at(at.phase, func(string) { cancel(errEnded) })
			r := f.conclude(ctx)
			g.Expect(r.err).NotTo(HaveOccurred())
			g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
			g.Expect(r.Reason).To(ContainSubstring(errEnded.Error()))
			g.Expect(r.Reason).NotTo(ContainSubstring("agent is gone"))
		})
	}
}

func TestCancelWhileAClusterIsMade(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.made = func(*fakeLane) error { cancel(errEnded); return nil }
	r := f.conclude(ctx)
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring(errEnded.Error()))
}

func TestCancelWhileAChangeIsMade(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.before = func(ctx context.Context, _ *fakeLane, action, id, place string) error {
		if action == "apply" && id == "fault" && place == "node/node-2" {
			cancel(errEnded)
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	r := f.conclude(ctx)
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring(errEnded.Error()))
}

func TestAnAgentDiesInEveryPhase(t *testing.T) {
	for _, at := range allPhases {
		for _, place := range []string{"node/node-2", "pod/client"} {
			t.Run(at.phase+" "+place, func(t *testing.T) {
				g := NewWithT(t)
				f := newFake(t)
				f.at(at.phase, func(lane string) {
					f.mu.Lock()
					defer f.mu.Unlock()
					f.lanes[lane].Kill(place)
				})
				r := f.conclude(t.Context())
				g.Expect(r.err).NotTo(HaveOccurred())
				g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
				g.Expect(r.Reason).To(And(ContainSubstring(place), ContainSubstring("the agent is gone")))
			})
		}
	}
}

// fails returns what makes one action fail, as often as said.
func fails(often int, action, id, place string) func(context.Context, *fakeLane, string, string, string) error {
	var mu sync.Mutex
	return func(_ context.Context, l *fakeLane, a, i, p string) error {
		mu.Lock()
		defer mu.Unlock()
		if l.name == "default/cure" && a == action && i == id && p == place && often > 0 {
			often--
			return errors.New("no room")
		}
		return nil
	}
}

func TestActionsThatFail(t *testing.T) {
	for _, c := range []struct {
		name              string
		action, id, place string
		outcome           judge.Outcome
		reason            string
	}{
		{"an apply at the second place", "apply", "fault", "node/node-2", judge.Inconclusive, "change fault: node/node-2: change/apply: switch: no room"},
		{"the apply of a second step", "apply", "second", "pod/client", judge.Inconclusive, "change second: pod/client: change/apply: switch: no room"},
		{"the apply of a remedy", "apply", "cure", "node/node-1", judge.Inconclusive, "change cure: node/node-1: change/apply: switch: no room"},
		{"the undo of a remedy", "undo", "cure", "node/node-2", judge.Fail, "change cure on node/node-2 was not undone: undo of change cure: undo switch: node/node-2: change/undo: "},
		{"the undo of the fault", "undo", "fault", "node/node-2", judge.Fail, "change fault on node/node-2 was not undone: undo of change fault: undo switch: node/node-2: change/undo: "},
		{"a reading", "read", "", "node/node-2", judge.Inconclusive, "node/node-2: read: no room"},
		{"the reading of a change", "read", "fault", "node/node-1", judge.Inconclusive, "node/node-1: change/read: no room"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			f := newFake(t)
			f.before = fails(1, c.action, c.id, c.place)
			r := f.conclude(t.Context())
			g.Expect(r.err).NotTo(HaveOccurred())
			g.Expect(r.Outcome).To(Equal(c.outcome))
			g.Expect(r.Reason).To(ContainSubstring(c.reason))
			g.Expect(f.lanes["default/useless"].log).To(ContainElement("undo beside pod/client"), "the other lane goes on")
		})
	}
}

func TestAnUndoThatNeverWorks(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.leaves = true
	f.before = fails(1000, "undo", "fault", "node/node-2")
	r := f.conclude(t.Context())
	g.Expect(r.Outcome).NotTo(Equal(judge.Pass))
	g.Expect(r.Reason).To(ContainSubstring("change fault on node/node-2 was not undone: undo of change fault: undo switch: node/node-2"))
	g.Expect(f.lanes["default/cure"].applied).To(Equal([]string{"fault node/node-2"}), "everything else is undone all the same")
}

func TestAnAgentThatCrashesInAnOperation(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.before = func(_ context.Context, _ *fakeLane, action, id, _ string) error {
		if action == "read" && id == "cure" {
			panic("a bug")
		}
		return nil
	}
	r := f.conclude(t.Context())
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(HaveSuffix("change/read: the agent crashed: a bug; the stack is in its log"))
}

func TestPause(t *testing.T) {
	// resume starts a run that stops in the phase fault, and returns its result when do has been called meanwhile.
	resume := func(t *testing.T, do func(enter io.WriteCloser, cancel context.CancelCauseFunc)) result {
		g := NewWithT(t)
		f := newFake(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		terminal, enter := io.Pipe()
		var prompt lockedBuffer
		f.PauseAt, f.Resume, f.Prompt = "fault", terminal, &prompt
		prompted := make(chan struct{})
		go func() {
			defer close(prompted)
			NewWithT(t).Eventually(prompt.String, "10s", "1ms").Should(ContainSubstring("false node/node-1 bash"))
			f.mu.Lock()
			lane := f.lanes["default/cure"]
			f.mu.Unlock()
			lane.mu.Lock()
			applied := slices.Clone(lane.applied)
			lane.mu.Unlock()
			NewWithT(t).Expect(applied).To(HaveLen(3), "the fault stays while the run is paused")
			do(enter, cancel)
		}()
		r := f.conclude(ctx)
		<-prompted
		g.Expect(f.most).To(Equal(1), "lanes run one by one")
		return r
	}
	t.Run("and continue", func(t *testing.T) {
		g := NewWithT(t)
		r := resume(t, func(enter io.WriteCloser, _ context.CancelCauseFunc) { _, _ = io.WriteString(enter, "\n") })
		g.Expect(r.err).NotTo(HaveOccurred())
		g.Expect(r.Outcome).To(Equal(judge.Pass), r.Reason)
	})
	t.Run("and cancel", func(t *testing.T) {
		g := NewWithT(t)
		r := resume(t, func(enter io.WriteCloser, cancel context.CancelCauseFunc) {
			cancel(errEnded)
			enter.Close() // only so that its reader ends
		})
		g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
		g.Expect(r.Reason).To(ContainSubstring(errEnded.Error()))
	})
	t.Run("without a terminal", func(t *testing.T) {
		g := NewWithT(t)
		r := resume(t, func(enter io.WriteCloser, _ context.CancelCauseFunc) { enter.Close() })
		g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
		g.Expect(r.Reason).To(ContainSubstring("waiting for Enter: EOF"))
	})
}

// hangs blocks a reading until it is cancelled.
func hangs(ctx context.Context, _ *fakeLane, action, id, _ string) error {
	if action == "read" && id == "second" {
		<-ctx.Done()
	}
	return nil
}

func TestTimeLimit(t *testing.T) {
	t.Run("of the run", func(t *testing.T) {
		g := NewWithT(t)
		f := newFake(t)
		f.before, f.Timeout = hangs, 3*time.Second
		r := f.conclude(t.Context())
		g.Expect(r.err).NotTo(HaveOccurred())
		g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
		g.Expect(r.Reason).To(ContainSubstring("the run took longer than its limit of 3s"))
	})
	t.Run("of a lane", func(t *testing.T) {
		g := NewWithT(t)
		f := newFake(t)
		f.before, f.Timeout, f.Slots = hangs, 100*time.Millisecond, semaphore.NewWeighted(2)
		r := f.conclude(t.Context())
		g.Expect(r.err).NotTo(HaveOccurred())
		g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
		g.Expect(r.Reason).To(ContainSubstring("the lane took longer than its limit of 100ms"))
	})
}

// smallDisk is a file on a disk with room for a number of bytes.
type smallDisk struct {
	*os.File
	room int
}

func (d *smallDisk) Write(p []byte) (int, error) {
	if len(p) <= d.room {
		d.room -= len(p)
		return d.File.Write(p)
	}
	n, err := d.File.Write(p[:d.room])
	d.room = 0
	if err == nil {
		err = &os.PathError{Op: "write", Path: d.Name(), Err: unix.ENOSPC}
	}
	return n, err
}

func TestAFullDisk(t *testing.T) {
	for _, room := range []int{0, 1, 500, 5000, 10000, 15000} {
		t.Run(fmt.Sprint(room), func(t *testing.T) {
			g := NewWithT(t)
			f := newFake(t)
			f.Options = run.WithHistory(f.Options, func(path string) (history.File, error) {
				file, err := os.Create(path)
				return &smallDisk{File: file, room: room}, err
			})
			recorded := 0
			f.Watch = func(history.Event) { recorded++ }
			r := f.conclude(t.Context())
			g.Expect(strings.Count(r.err.Error(), "no space left on device")).To(Equal(1), "it is said once: %v", r.err)
			g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
			g.Expect(r.events).To(HaveLen(recorded+1), "what was written whole, and why the run ended")
			g.Expect(r.events[recorded].Text).To(ContainSubstring("no space left on device"))
			g.Expect(r.Reason).To(And(HavePrefix("the run broke down: history: "), HaveSuffix("no space left on device")))
		})
	}
}

// TestAFullDiskForReal has all of the run folder on a disk that is too small.
func TestAFullDiskForReal(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to mount a small disk needs root")
	}
	for _, size := range []string{"36k", "44k", "52k", "60k", "72k"} {
		t.Run(size, func(t *testing.T) {
			g := NewWithT(t)
			f := newFake(t)
			if err := unix.Mount("small", f.out, "tmpfs", 0, "size="+size); err != nil {
				t.Skip("a small disk cannot be mounted: ", err)
			}
			t.Cleanup(func() { g.Expect(unix.Unmount(f.out, 0)).To(Succeed()) })
			r := f.conclude(t.Context())
			g.Expect(r.err).To(MatchError(ContainSubstring("no space left on device")))
			g.Expect(strings.Count(r.err.Error(), "no space left on device")).To(Equal(1), "it is said once: %v", r.err)
			g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
		})
	}
}

func TestAClusterThatCannotBeMade(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.made = func(l *fakeLane) error {
		if l.name == "default/useless" {
			return errors.New("node-2 did not become ready")
		}
		return nil
	}
	r := f.conclude(t.Context())
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring("node-2 did not become ready"))
	g.Expect(f.lanes["default/cure"].log).To(ContainElement("undo cure node/node-1"), "the other lane goes on")
}

func TestAClusterThatCannotBeClosed(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.made = func(l *fakeLane) error {
		l.Fail = func(call string) error {
			if call == "close" {
				return errors.New("a process is left")
			}
			return nil
		}
		return nil
	}
	r := f.conclude(t.Context())
	g.Expect(r.err).NotTo(HaveOccurred())
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring("a process is left"))
}

func TestLanesTakeSlots(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	taken := 0
	f.Slots, f.SlotsTaken = semaphore.NewWeighted(1), func() { taken++ }
	r := f.conclude(t.Context())
	g.Expect(r.Outcome).To(Equal(judge.Pass), r.Reason)
	g.Expect(f.most).To(Equal(1))
	g.Expect(taken).To(Equal(1))
	g.Expect(f.Slots.TryAcquire(1)).To(BeTrue(), "the slot was given back")
}

func TestCancelWhileWaitingForASlot(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.Slots = semaphore.NewWeighted(1)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.at("fault", func(string) { cancel(errEnded) })
	r := f.conclude(ctx)
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring(errEnded.Error()))
	g.Expect(f.lanes).To(HaveLen(1), "the second cluster was never made")
	g.Expect(f.Slots.TryAcquire(1)).To(BeTrue(), "the slot was given back")
}

// twoVariants adds a variant that changes the host.
func twoVariants(f *fake) {
	host := f.Scenario.Variants[0]
	host.ID, host.HostChanges = "host", true
	host.Fault.Changes = append(slices.Clone(host.Fault.Changes), scenario.Step{ID: "onhost", On: "host", Use: scenario.Use{Name: "nothing", Config: &faults.Nothing{}}})
	f.Scenario.Variants = append(f.Scenario.Variants, host)
	f.Source, _ = json.Marshal(f.Scenario)
	f.AllowHostChanges = true
}

func TestLanesThatChangeTheHostRunAlone(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	twoVariants(f)
	asked := 0
	f.Alone = func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		asked++
		g.Expect(f.alive).To(Equal(0), "the other lanes have ended")
		f.most = 0
		return nil
	}
	r := f.conclude(t.Context())
	g.Expect(r.Outcome).To(Equal(judge.Pass), r.Reason)
	g.Expect(asked).To(Equal(1))
	g.Expect(f.most).To(Equal(1), "one by one")
	g.Expect(f.lanes).To(HaveLen(4))
}

func TestTheMachineIsNeverFree(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	twoVariants(f)
	f.Alone = func(context.Context) error { return errEnded }
	r := f.conclude(t.Context())
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring(errEnded.Error()))
	g.Expect(f.lanes).To(HaveLen(2))
}

func TestTheGuardIsKilled(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.leaves = true
	f.at("remedy/cure", func(string) {
		folders, _ := filepath.Glob(filepath.Join(os.Getenv(runstate.EnvDir), "*", "owner.json"))
		text, _ := os.ReadFile(folders[0])
		var owner runstate.Owner
		g.Expect(json.Unmarshal(text, &owner)).To(Succeed())
		g.Expect(unix.Kill(owner.Guard.PID, unix.SIGKILL)).To(Succeed())
	})
	r := f.conclude(t.Context())
	g.Expect(r.err).To(MatchError(ContainSubstring("host's agent: signal: killed")))
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring("the guard of this run, its host's agent, has ended"))
	for _, l := range f.lanes {
		g.Expect(l.applied).To(BeEmpty())
	}
}

func TestTheGuardCannotBeStarted(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.Agent = filepath.Join(f.out, "missing")
	r := f.conclude(t.Context())
	g.Expect(r.err).To(MatchError(ContainSubstring("missing: no such file or directory")))
	g.Expect(r.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(r.Reason).To(ContainSubstring("missing: no such file or directory"))
	g.Expect(f.lanes).To(BeEmpty())
}

// TestAttemptsHaveNumbersOfTheirOwn: source ports follow from the numbers, and a port that is used again meets the conntrack entry of its
// last use.
func TestAttemptsHaveNumbersOfTheirOwn(t *testing.T) {
	g := NewWithT(t)
	f := newFake(t)
	f.Repeat = 1500
	f.Scenario.Controls, f.Scenario.Detection[0].Expect = nil, scenario.ExpectSilent
	f.Source, _ = json.Marshal(f.Scenario)
	type series struct{ first, after int }
	var mu sync.Mutex
	all := map[string][]series{}
	f.sample = func(ctx context.Context, s probes.Sampling) int {
		made := s.Attempts
		if made == 0 {
			<-ctx.Done()
			made = 2000
		}
		mu.Lock()
		defer mu.Unlock()
		all[s.ID] = append(all[s.ID], series{s.First, s.First + made})
		return made
	}
	f.conclude(t.Context())
	for _, probe := range f.Scenario.Probes {
		list := all[probe.ID]
		slices.SortFunc(list, func(a, b series) int { return a.first - b.first })
		for i := range list[1:] {
			g.Expect(list[i+1].first).To(BeNumerically(">=", list[i].after), "%s: %v", probe.ID, list)
		}
	}
	phases := slices.DeleteFunc(all["other"], func(s series) bool { return s.after-s.first != 2000 })
	g.Expect(phases).To(HaveLen(5), "one for each phase")
	for _, s := range phases {
		g.Expect(slices.ContainsFunc(all["request"], func(r series) bool { return r.first == s.first })).To(BeTrue(), "side by side they have the same numbers")
	}
}
