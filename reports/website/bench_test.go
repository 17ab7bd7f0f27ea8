package website

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/results/resultstest"
)

// BenchmarkSite makes the pages of stores of all sizes, as relapse site does: it reads all results, and keeps the newest 60 of each variant
// and environment. What matters is how time and memory grow.
func BenchmarkSite(b *testing.B) {
	const scenarios, envs = 25, 4
	for _, count := range []int{1_000, 10_000, 100_000} {
		nights := count / (scenarios * envs)
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			store, err := results.Create(filepath.Join(b.TempDir(), "store"))
			if err != nil {
				b.Fatal(err)
			}
			world := resultstest.NewWorld(scenarios, envs, 1)
			for n := range nights {
				if _, _, err := store.Add(context.Background(), world.Night(n)); err != nil {
					b.Fatal(err)
				}
			}
			var memory runtime.MemStats
			for b.Loop() {
				site := Site{Now: resultstest.First.AddDate(0, 0, nights), Nights: 5}
				if _, err := store.Each(context.Background(), results.Selection{Last: 60}, func(r *results.Result) { site.Results = append(site.Results, r) }); err != nil {
					b.Fatal(err)
				}
				runtime.GC()
				runtime.ReadMemStats(&memory)
				if _, err := Write(context.Background(), b.TempDir(), site); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(memory.HeapInuse)/(1<<20), "MiB-kept")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(count), "us/result")
		})
	}
}
