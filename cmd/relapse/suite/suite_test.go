package suite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func small(id string, exclusive bool, remedies ...scenario.Remedy) run.Options {
	return run.Options{Provider: &lab.Lab{}, Scenario: &scenario.Scenario{
		Metadata: scenario.Metadata{ID: id}, Topology: scenario.Topology{Exclusive: exclusive},
		Probes: []scenario.Probe{{ID: "lookup", Attempts: 10}}, Variants: []scenario.Variant{{ID: "default"}}, Remedies: remedies,
	}}
}

func TestThoseWithMoreToDoBeginFirstAndExclusiveOnesLast(t *testing.T) {
	runs := []run.Options{
		small("heavy", true, scenario.Remedy{ID: "a"}, scenario.Remedy{ID: "b"}, scenario.Remedy{ID: "c"}),
		small("short", false),
		small("long", false, scenario.Remedy{ID: "a"}, scenario.Remedy{ID: "b"}),
		small("medium", false, scenario.Remedy{ID: "a"}),
	}
	NewWithT(t).Expect(order(runs)).To(Equal([]int{2, 3, 1, 0}))
}

// diary is what happened, in its order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) write(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func TestTheWholeMachineIsGivenOnlyWhenNothingElseRuns(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	turns := newTurns(2)
	var all sync.WaitGroup
	var seen diary
	host := turns.next(ctx, false)
	all.Go(func() {
		defer host.over()
		host.slotsTaken()
		g.Expect(host.wholeMachine(ctx)).To(Succeed())
		seen.write("host")
	})
	host.settled()
	other := turns.next(ctx, false)
	goOn := make(chan struct{})
	all.Go(func() {
		defer other.over()
		other.slotsTaken()
		<-goOn
		seen.write("other")
	})
	other.settled()
	close(turns.begun)
	close(goOn)
	all.Wait()
	g.Expect(seen.lines).To(Equal([]string{"other", "host"}))
}

func TestAnExclusiveRunHasNoOtherBesideIt(t *testing.T) {
	g := NewWithT(t)
	ctx := context.Background()
	turns := newTurns(6)
	var all sync.WaitGroup
	var seen diary
	for _, exclusive := range []bool{false, true, false} {
		turn := turns.next(ctx, exclusive)
		seen.write("next")
		all.Go(func() {
			defer turn.over()
			turn.slotsTaken()
			if exclusive {
				seen.write("exclusive")
			}
		})
		turn.settled()
	}
	all.Wait()
	g.Expect(seen.lines).To(Equal([]string{"next", "next", "exclusive", "next"}))
}

func TestOnlyRunsBesideOthersMakeTheirClustersInTurn(t *testing.T) {
	g := NewWithT(t)
	var mu sync.Mutex
	inTurn := map[string]bool{}
	InTurns(t.Context(), 2, []run.Options{small("beside", false), small("alone", true)}, func(_ int, o run.Options) {
		mu.Lock()
		defer mu.Unlock()
		inTurn[o.Scenario.Metadata.ID] = o.Making != nil
	})
	g.Expect(inTurn).To(Equal(map[string]bool{"beside": true, "alone": false}))
}

func TestADisagreementFailsTheSuite(t *testing.T) {
	run := func(outcome, agreement judge.Outcome) reports.SuiteRun {
		r := reports.SuiteRun{Outcome: outcome}
		if agreement != "" {
			r.Agreement = &agree.Agreement{Outcome: agreement}
		}
		return r
	}
	g := NewWithT(t)
	g.Expect(worst(nil)).To(Equal(judge.Skipped))
	g.Expect(worst([]reports.SuiteRun{run(judge.Pass, judge.Pass), run(judge.Pass, judge.Skipped), run(judge.Skipped, "")})).To(Equal(judge.Pass))
	g.Expect(worst([]reports.SuiteRun{run(judge.Pass, judge.Fail), run(judge.Pass, judge.Pass)})).To(Equal(judge.Fail))
	g.Expect(worst([]reports.SuiteRun{run(judge.Pass, judge.Inconclusive), run(judge.Pass, "")})).To(Equal(judge.Inconclusive))
}

func TestAScenarioThatTheOtherSuiteNeverRanIsNoAgreement(t *testing.T) {
	g := NewWithT(t)
	o := Options{AgreeWith: "runs-lab", Others: map[string]string{"named": ""}}
	g.Expect(o.agreement("named", "runs/1-named")).To(HaveValue(And(
		HaveField("Outcome", judge.Inconclusive), HaveField("Reason", "runs-lab lists it but has no run of it"))))
	g.Expect(o.agreement("unknown", "runs/1-unknown")).To(BeNil())
}

type silent struct{}

func (silent) Begin(*scenario.Scenario)                  {}
func (silent) End(reports.SuiteRun)                      {}
func (silent) Event(*scenario.Scenario, history.Event)   {}
func (silent) Status(*scenario.Scenario, string, string) {}

func TestASuiteThatIsCancelledBeforeItBegins(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("ended by signal: interrupt"))
	out := t.TempDir()
	s, err := Run(ctx, Options{
		Runs: []run.Options{small("one", false), small("two", true)}, Catalogues: catalogue.All(), Jobs: 2, Out: out, Watch: silent{},
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(s.Scenarios[1].Reason).To(Equal("not started: ended by signal: interrupt"))
	for _, name := range []string{reports.SuiteIndex, reports.SuiteFile, rundir.JUnitFile} {
		g.Expect(filepath.Join(out, "latest", "suite", name)).To(BeARegularFile())
	}
	left, err := os.ReadDir(out)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(2), "no run folder was made")
}
