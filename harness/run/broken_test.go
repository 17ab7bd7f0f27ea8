package run_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/units"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/scenarios"
)

// broken is a lab in which something is wrong before the scenario begins.
type broken struct {
	*lab.Lab
	harm func(ctx context.Context, c clusters.Cluster) error
}

func (b broken) Create(ctx context.Context, spec clusters.Spec) (clusters.Cluster, error) {
	c, err := b.Lab.Create(ctx, spec)
	if err != nil {
		return nil, err
	}
	return c, b.harm(ctx, c)
}

// once runs one variant of a scenario with one of its remedies and returns the verdict.
func once(t *testing.T, id, variant, remedy string, alter func(*scenario.Scenario), harm func(context.Context, clusters.Cluster) error) judge.Verdict {
	t.Helper()
	g := NewWithT(t)
	l := &lab.Lab{Bin: programs(t)}
	t.Parallel()
	s, err := load.FS(scenarios.Files, id+".yaml", catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	s.Variants = slices.DeleteFunc(s.Variants, func(v scenario.Variant) bool { return v.ID != variant })
	s.Remedies = slices.DeleteFunc(s.Remedies, func(r scenario.Remedy) bool { return r.ID != remedy })
	s.Controls, s.Claims = nil, slices.DeleteFunc(s.Claims, func(c scenario.Claim) bool { return c.Check.Phase != "fault" || c.Check.Variant != variant })
	s.Variants[0].Without.Control = "this test is about the baseline and the fault"
	s.Variants[0].ID = "default" // as that of a scenario with one variant must be
	for i := range s.Claims {
		s.Claims[i].Check.Variant = "default"
	}
	for i := range s.Detection {
		s.Detection[i].Variants = nil
	}
	s.Remedies[0].Variants = nil
	if alter != nil {
		alter(s)
	}
	source, err := json.Marshal(s)
	g.Expect(err).NotTo(HaveOccurred())
	provider := broken{Lab: l, harm: harm}
	if harm == nil {
		provider.harm = func(context.Context, clusters.Cluster) error { return nil }
	}
	dir, err := run.Run(context.Background(), run.Options{
		Scenario: s, Source: source, Provider: provider, Agent: filepath.Join(l.Bin, "relapse-agent"), Proxy: "nftables",
		Timeout: 3 * time.Minute, Out: t.TempDir(), Seed: 1,
	})
	g.Expect(err).NotTo(HaveOccurred())
	verdict, err := session.Conclude(dir, catalogue.All())
	g.Expect(err).NotTo(HaveOccurred())
	t.Logf("%s: %s", verdict.Outcome, verdict.Reason)
	return verdict
}

func TestLabNoDNSBeforeTheFaultIsInconclusive(t *testing.T) {
	verdict := once(t, "dns-5s", "forced", "use-vc",
		func(s *scenario.Scenario) { s.Probes[0].Timeout = units.Duration(6 * time.Second) },
		func(ctx context.Context, c clusters.Cluster) error {
			for _, pod := range []string{"pod/coredns-0", "pod/coredns-1"} {
				if _, err := program.Stop.Call(ctx, c.Agent(pod), "coredns", nil); err != nil {
					return err
				}
			}
			return nil
		})
	g := NewWithT(t)
	g.Expect(verdict.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(verdict.Reason).To(ContainSubstring("not healthy before the fault"))
}

func TestLabADetectorThatFiresBeforeTheFaultIsInconclusive(t *testing.T) {
	verdict := once(t, "conntrack-exhaustion", "node-table", "notrack", nil, func(ctx context.Context, c clusters.Cluster) error {
		config, err := json.Marshal(faults.ConntrackOccupy{Leave: 100})
		if err != nil {
			return err
		}
		_, err = changes.Apply.Call(ctx, c.Agent("node/node-1"), changes.Request{ID: "harm", Name: "conntrack-occupy", Config: config}, nil)
		return err
	})
	g := NewWithT(t)
	g.Expect(verdict.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(verdict.Reason).To(ContainSubstring("table-used"))
}

func TestLabAHoldThatCatchesNothingIsInconclusive(t *testing.T) {
	verdict := once(t, "dns-5s", "forced", "use-vc", func(s *scenario.Scenario) {
		s.Variants[0].Fault.Changes[0].Use.Config.(*faults.HoldPairs).Port = 5353
	}, nil)
	g := NewWithT(t)
	g.Expect(verdict.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(verdict.Reason).To(ContainSubstring("never in effect"))
}
