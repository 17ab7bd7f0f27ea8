package scenarios_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"
	"sigs.k8s.io/e2e-framework/pkg/types"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/reports"
	"github.com/relapse-k8s/relapse/scenarios"
)

var world env.Environment

func TestMain(m *testing.M) {
	// -args --feature dns-5s, --assess baseline, --labels layer=dns say what is assessed; -run says what is run.
	config, err := envconf.NewFromFlags()
	if err != nil {
		panic(err)
	}
	world = env.NewWithConfig(config)
	code := world.Run(m)
	book.sum()
	os.Exit(code)
}

// programs is the folder of relapse's programs, for tests that run scenarios.
func programs(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("it needs root; as an ordinary user, relapse run enters a user namespace first")
	}
	bin := os.Getenv("RELAPSE_BIN")
	if bin == "" {
		bin, _ = filepath.Abs("../bin")
	}
	if _, err := os.Stat(filepath.Join(bin, "relapse-agent")); err != nil {
		t.Skip("make build makes the programs: ", err)
	}
	return bin
}

// TestScenarios runs every scenario in the lab, in both modes of kube-proxy, and altered so that it must not pass (see nothing and
// vacuous).
// TestScenarios/dns-5s runs one of them, TestScenarios/dns-5s/nftables in one mode.
func TestScenarios(t *testing.T) {
	ids, err := scenarios.IDs()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	for _, id := range ids {
		source, err := scenarios.Files.ReadFile(id + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var runs []*made
		for _, proxy := range []string{"nftables", "iptables"} {
			t.Run(id+"/"+proxy, func(t *testing.T) {
				e, s := book.enter(t), loaded(t, id)
				skipKubernetes(e, s)
				m := b.want(proxy, run.Options{Scenario: s, Source: source, Proxy: proxy, Command: []string{"relapse", "run", id, "--proxy", proxy}})
				runs = append(runs, m)
				b.wait(e, m)
				verdict := concluded(t, m)
				e.says = told(verdict)
				world.Test(t, feature(s, proxy, verdict))
			})
		}
		t.Run(id+"/agree", func(t *testing.T) {
			if len(runs) < 2 {
				t.Skip("the scenario did not run in both modes")
			}
			e := book.enter(t)
			b.wait(e, runs...)
			wantAgreement(e, runs)
		})
		nothing(t, id, b)
	}
	vacuous(t, b)
}

// loaded is a scenario as it comes with relapse.
func loaded(t *testing.T, id string) *scenario.Scenario {
	t.Helper()
	s, err := load.FS(scenarios.Files, id+".yaml", catalogue.All())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// concluded judges a run and writes its reports.
func concluded(t *testing.T, m *made) judge.Verdict {
	t.Helper()
	verdict, err := session.Conclude(m.dir, catalogue.All())
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("RELAPSE_RECORD") != "" && verdict.Outcome == judge.Pass {
		record(t, m.dir, m.o.Scenario)
	}
	return verdict
}

// told is the reason why a run did not pass, or which variants of one that passed were skipped.
func told(verdict judge.Verdict) string {
	if verdict.Outcome != judge.Pass {
		return fmt.Sprintf("%s: %s", verdict.Outcome, verdict.Reason)
	}
	var skipped []string
	for _, v := range verdict.Variants {
		if v.Outcome == judge.Skipped {
			skipped = append(skipped, fmt.Sprintf("%s is skipped: %s", v.Name, v.Reason))
		}
	}
	return strings.Join(skipped, "; ")
}

// wantAgreement checks that the runs in both modes of kube-proxy agree, or that the scenario explains the difference.
func wantAgreement(e *entry, runs []*made) {
	var sides [2]agree.JudgedRun
	for i, m := range runs {
		var err error
		if sides[i], err = session.ReadJudged(m.dir, catalogue.All()); err != nil {
			e.Fatal(err)
		}
	}
	a, err := agree.Compare(sides[0], sides[1])
	if err != nil {
		e.Fatal(err)
	}
	// A difference that comes from a failed or inconclusive run is reported by that run's own test.
	if a.Outcome == judge.Fail && sides[0].Verdict.Outcome == judge.Pass && sides[1].Verdict.Outcome == judge.Pass {
		var text strings.Builder
		if err := reports.AgreementTerminal(&text, a, 120, false); err != nil {
			e.Fatal(err)
		}
		e.says = a.Reason
		e.Errorf("%s", text.String())
	}
}

// skipKubernetes skips a scenario that the lab cannot run.
func skipKubernetes(e *entry, s *scenario.Scenario) {
	e.Helper()
	if slices.Contains(s.Needs, "kubernetes") {
		e.says = "the scenario needs real Kubernetes: make test-kind runs it"
		e.Skip(e.says)
	}
}

// feature is a run of a scenario as a feature of the e2e-framework: every phase is an assessment.
func feature(s *scenario.Scenario, proxy string, verdict judge.Verdict) types.Feature {
	build := features.New(s.Metadata.ID).WithLabel("layer", s.Metadata.Layer).WithLabel("proxy", proxy)
	for _, label := range s.Metadata.Labels {
		build = build.WithLabel("label", label)
	}
	for _, name := range s.Phases() {
		build = build.Assess(name, func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
			assess(t, verdict, name)
			return ctx
		})
	}
	return build.Teardown(func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		if verdict.Outcome != judge.Pass {
			t.Errorf("%s: %s", verdict.Outcome, verdict.Reason)
		}
		if !verdict.Restored.Clean {
			t.Errorf("the run did not restore the state from before: %q", verdict.Restored.Differences)
		}
		return ctx
	}).Feature()
}

// assess fails the test with every check of a phase that did not hold.
func assess(t *testing.T, verdict judge.Verdict, name string) {
	seen := false
	for _, variant := range verdict.Variants {
		for _, phase := range variant.Phases {
			if phase.Name != name {
				continue
			}
			seen = true
			if phase.Outcome == judge.Pass {
				continue
			}
			for _, check := range phase.Checks {
				if !check.OK {
					t.Errorf("%s %s %s: %s: %s", variant.Name, name, phase.Outcome, check.What, check.Seen)
				}
			}
		}
	}
	if !seen {
		t.Skip("no variant that ran here has this phase")
	}
}
