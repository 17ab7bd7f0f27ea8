package scenarios_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/session"
	"github.com/relapse-k8s/relapse/scenarios"
)

// TestNothing runs every scenario with a change that does nothing in place of its faults, and then of its remedies: a scenario
// that passes without its fault, or with a remedy that does nothing, checks nothing. TestNothing/dns-5s runs one.
func TestNothing(t *testing.T) {
	ids, err := scenarios.IDs()
	if err != nil {
		t.Fatal(err)
	}
	// As many labs at once as a suite has.
	l := provider(t)
	options := run.Options{Provider: l, Agent: filepath.Join(l.Bin, "relapse-agent"), Slots: semaphore.NewWeighted(int64(3 * runtime.NumCPU()))}
	for _, id := range ids {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			t.Run("fault", func(t *testing.T) {
				t.Parallel()
				withoutFault(t, id, options)
			})
			t.Run("remedies", func(t *testing.T) {
				t.Parallel()
				withoutRemedies(t, id, options)
			})
		})
	}
}

// withoutFault wants every variant not to pass.
func withoutFault(t *testing.T, id string, options run.Options) {
	verdict, _ := altered(t, id, options, func(s *scenario.Scenario) {
		for i := range s.Variants {
			empty(s.Variants[i].Fault.Changes)
		}
	})
	for _, v := range verdict.Variants {
		if v.Outcome == judge.Pass {
			t.Errorf("%s passes without its fault: %s", v.Name, v.Reason)
		}
	}
}

// withoutRemedies wants every remedy to fail, and with it its variant.
func withoutRemedies(t *testing.T, id string, options run.Options) {
	verdict, s := altered(t, id, options, func(s *scenario.Scenario) {
		for i := range s.Remedies {
			empty(s.Remedies[i].Changes)
			// What a remedy brings about would be waited for in vain, and the phase be inconclusive: here the symptom is to tell.
			s.Remedies[i].Effective = nil
		}
	})
	for _, v := range verdict.Variants {
		if v.Outcome == judge.Skipped {
			continue
		}
		cures := 0
		for _, p := range v.Phases {
			phase, err := scenario.ParsePhase(p.Name)
			if err != nil {
				t.Fatal(err)
			}
			if phase.Kind != "remedy" {
				continue
			}
			cures++
			if p.Outcome != judge.Fail {
				t.Errorf("%s, %s, which does nothing, is judged %s: %s", v.Name, p.Name, p.Outcome, unmet(p))
			}
		}
		if cures > 0 && v.Outcome != judge.Fail {
			t.Errorf("%s with remedies that do nothing is judged %s: %s", v.Name, v.Outcome, v.Reason)
		}
	}
	if len(s.Remedies) == 0 {
		t.Skip("it has no remedies")
	}
}

// unmet lists what was not as expected in a phase.
func unmet(p judge.Phase) string {
	text := ""
	for _, c := range p.Checks {
		if !c.OK {
			text += fmt.Sprintf("\n%s: %s", c.What, c.Seen)
		}
	}
	return text
}

// empty makes steps do nothing. Their ids and places stay, so that what refers to them is still valid.
func empty(steps []scenario.Step) {
	for i := range steps {
		steps[i].Use = scenario.Use{Name: "nothing", Config: &faults.Nothing{}}
	}
}

// altered runs a scenario otherwise than its file says.
func altered(t *testing.T, id string, options run.Options, alter func(*scenario.Scenario)) (judge.Verdict, *scenario.Scenario) {
	t.Helper()
	g := NewWithT(t)
	s, err := scenario.LoadFS(scenarios.Files, id+".yaml", catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	skipKubernetes(t, s)
	alter(s)
	source, err := json.Marshal(s)
	g.Expect(err).NotTo(HaveOccurred())
	options.Scenario, options.Source, options.Proxy, options.Out, options.Seed = s, source, "nftables", t.TempDir(), 1
	// Of every lane. It waits in vain for what does not take effect, in up to three phases.
	options.Timeout = 3*plan.EffectiveLimit + 3*time.Minute
	dir, verdict, err := session.Run(t.Context(), options, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred(), dir)
	t.Logf("%s: %s", verdict.Outcome, verdict.Reason)
	return verdict, s
}
