package suite

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

func TestTimesAreMediansOfTheLastRunsOnTheSameKindOfCluster(t *testing.T) {
	g := NewWithT(t)
	dir := filepath.Join(t.TempDir(), "store")
	store, err := results.Create(dir)
	g.Expect(err).NotTo(HaveOccurred())
	begin := time.Date(2026, 11, 30, 4, 0, 0, 0, time.UTC)
	var list []results.Result
	add := func(cluster, variant string, took float64, crashed bool) {
		n := len(list)
		list = append(list, results.Result{
			Format: results.Format, Run: fmt.Sprintf("20261130-%04d-dns-5s", n), Scenario: "dns-5s", Variant: variant, Start: begin.Add(time.Duration(n) * time.Minute), Took: took,
			Env: results.Environment{Cluster: cluster, Proxy: "nftables"}, Outcome: judge.Pass, Crashed: crashed,
		})
	}
	for range lastRuns {
		add("lab", "forced", 1000, false) // of long ago
	}
	for i := range lastRuns {
		add("lab", "forced", float64(20+i), false)
	}
	add("lab", "native", 7, false)
	add("lab", "native", 9000, true)
	add("kind", "forced", 300, false)
	_, _, err = store.Add(t.Context(), list)
	g.Expect(err).NotTo(HaveOccurred())

	g.Expect(Recorded(t.Context(), dir, "lab")).To(Equal(map[Variant]time.Duration{{"dns-5s", "forced"}: 24 * time.Second, {"dns-5s", "native"}: 7 * time.Second}))
	g.Expect(Recorded(t.Context(), dir, "kind")).To(Equal(map[Variant]time.Duration{{"dns-5s", "forced"}: 300 * time.Second}))

	files, err := filepath.Glob(filepath.Join(dir, "*", "*.zst"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Truncate(files[0], 20)).To(Succeed())
	_, err = Recorded(t.Context(), dir, "lab")
	g.Expect(err).To(MatchError(ContainSubstring(filepath.Base(files[0]))), "half a store would divide a suite in another way")
	_, err = Recorded(t.Context(), t.TempDir(), "lab")
	g.Expect(err).To(MatchError(ContainSubstring("is not a store of results")))
}
