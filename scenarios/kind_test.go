package scenarios_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/scenarios"
)

// TestKindNoFault is no-fault of TestScenarios on real Kubernetes, for the scenarios that run nowhere else and for one of the lab.
func TestKindNoFault(t *testing.T) {
	if os.Getenv("RELAPSE_TEST_KIND") == "" {
		t.Skip("RELAPSE_TEST_KIND=1 lets it make a cluster of containers")
	}
	g := NewWithT(t)
	ids, err := scenarios.IDs()
	g.Expect(err).NotTo(HaveOccurred())
	bin, out := programs(t), t.TempDir()
	k := kind.New(kind.Options{Bin: bin, Logs: filepath.Join(out, "clusters"), Spec: provision.Spec{Nodes: 2, Proxy: "nftables", CNI: "plain"}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		g.Expect(k.Close(ctx)).To(Succeed())
	})
	if err := k.Open(t.Context()); errors.Is(err, clusters.ErrMissing) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		s := loaded(t, id)
		if id != "dns-5s" && !slices.Contains(s.Needs, "kubernetes") {
			continue
		}
		t.Run(id, func(t *testing.T) {
			e, g := book.enter(t), NewWithT(t)
			withoutFault(s)
			source, err := json.Marshal(s)
			g.Expect(err).NotTo(HaveOccurred())
			dir, err := run.Run(t.Context(), run.Options{
				Scenario: s, Source: source, Provider: k, Agent: filepath.Join(bin, "relapse-agent"), Proxy: "nftables", Seed: 1,
				Timeout: 5 * time.Minute, Out: out, Slots: semaphore.NewWeighted(int64(k.AtOnce())),
			})
			g.Expect(err).NotTo(HaveOccurred(), dir)
			ran, events := recall(t, dir)
			wantNoFailure(e, s, ran, events)
		})
	}
}
