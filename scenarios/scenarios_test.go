package scenarios_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/e2e-framework/pkg/env"
	"sigs.k8s.io/e2e-framework/pkg/envconf"
	"sigs.k8s.io/e2e-framework/pkg/features"
	"sigs.k8s.io/e2e-framework/pkg/types"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/session"
	"github.com/relapse-k8s/relapse/reports"
	"github.com/relapse-k8s/relapse/scenarios"
)

var world env.Environment

func TestMain(m *testing.M) {
	config, err := envconf.NewFromFlags() // -args --labels layer=dns, --feature dns-5s, --assess baseline
	if err != nil {
		panic(err)
	}
	world = env.NewWithConfig(config)
	os.Exit(world.Run(m))
}

// provider makes labs out of the programs that make build has made, or skips the test and says why.
func provider(t *testing.T) *lab.Lab {
	t.Helper()
	if os.Getenv("RELAPSE_BIN") == "" {
		bin, err := filepath.Abs("../bin")
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("RELAPSE_BIN", bin)
	}
	l, err := lab.New()
	if err != nil {
		t.Skip(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("the lab needs root; as an ordinary user, relapse run enters a user namespace first")
	}
	return l
}

// TestScenarios runs every scenario for real: TestScenarios/dns-5s runs one.
func TestScenarios(t *testing.T) {
	ids, err := scenarios.IDs()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		var sides [2]agree.Side
		for i, proxy := range []string{"nftables", "iptables"} {
			t.Run(id+"/"+proxy, func(t *testing.T) { world.Test(t, feature(t, id, proxy, &sides[i])) })
		}
		t.Run(id+"/agree", func(t *testing.T) { wantAgreement(t, sides) })
	}
}

// wantAgreement wants the runs in both of kube-proxy's modes to say the same, or the scenario to explain why not.
func wantAgreement(t *testing.T, sides [2]agree.Side) {
	for _, side := range sides {
		if side.Scenario == nil {
			t.Skip("it has not run in both modes")
		}
	}
	a, err := agree.Compare(sides[0], sides[1])
	if err != nil {
		t.Fatal(err)
	}
	t.Log(a.Reason)
	// What only a failed or inconclusive run disagrees on is told there.
	if a.Outcome == judge.Fail && sides[0].Verdict.Outcome == judge.Pass && sides[1].Verdict.Outcome == judge.Pass {
		var text strings.Builder
		if err := reports.AgreementTerminal(&text, a, 120, false); err != nil {
			t.Fatal(err)
		}
		t.Error(text.String())
	}
}

// skipKubernetes skips what a lab cannot run.
func skipKubernetes(t *testing.T, s *scenario.Scenario) {
	t.Helper()
	if slices.Contains(s.Needs, "kubernetes") {
		t.Skip("it needs real Kubernetes: make test-kind runs it")
	}
}

// feature is a scenario as a feature of the e2e-framework: the run is its setup, and every phase is assessed. Side keeps what came out.
func feature(t *testing.T, id, proxy string, side *agree.Side) types.Feature {
	t.Helper()
	s, err := scenario.LoadFS(scenarios.Files, id+".yaml", catalogue.All())
	if err != nil {
		t.Fatal(err)
	}
	source, err := scenarios.Files.ReadFile(id + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var verdict judge.Verdict
	build := features.New(id).WithLabel("layer", s.Metadata.Layer).WithLabel("proxy", proxy)
	for _, label := range s.Metadata.Labels {
		build = build.WithLabel("label", label)
	}
	build = build.Setup(func(ctx context.Context, t *testing.T, _ *envconf.Config) context.Context {
		skipKubernetes(t, s)
		l := provider(t)
		out := os.Getenv("RELAPSE_RUNS") // kept where continuous integration collects it
		if out == "" {
			out = t.TempDir()
		}
		dir, err := run.Run(ctx, run.Options{
			Scenario: s, Source: source, Provider: l, Agent: filepath.Join(l.Bin, "relapse-agent"), Proxy: proxy, Timeout: 5 * time.Minute,
			Out: out, Seed: 1, Command: []string{"relapse", "run", id, "--proxy", proxy},
		})
		if err != nil {
			t.Fatal(err)
		}
		if verdict, err = session.Conclude(dir, catalogue.All()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %s (%s)", verdict.Outcome, verdict.Reason, dir)
		if *side, err = session.Side(dir, catalogue.All()); err != nil {
			t.Fatal(err)
		}
		if os.Getenv("RELAPSE_RECORD") != "" && verdict.Outcome == judge.Pass {
			record(t, dir, s)
		}
		return ctx
	})
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
			t.Errorf("not as before: %q", verdict.Restored.Differences)
		}
		return ctx
	}).Feature()
}

// assess fails the test with everything that was not as expected in a phase.
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
