package compare_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/results/resultstest"
)

// night is how many results a night has: 25 scenarios in 4 environments.
const scenariosANight, envsANight = 25, 4

// BenchmarkStore adds nights to a store, one after the other, and compares the first half of all results with the second, and one week with
// the week before. What matters is how time and memory grow. RELAPSE_BENCH=1000000 sets the number of results.
func BenchmarkStore(b *testing.B) {
	counts := []int{1_000, 10_000, 100_000}
	if own := os.Getenv("RELAPSE_BENCH"); own != "" {
		var n int
		if _, err := fmt.Sscan(own, &n); err != nil {
			b.Fatal(err)
		}
		counts = []int{n}
	}
	for _, count := range counts {
		nights := count / (scenariosANight * envsANight)
		dir := b.TempDir()
		b.Run(fmt.Sprintf("add/%d", count), func(b *testing.B) {
			for b.Loop() {
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				fill(b, dir, nights)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/float64(nights)*1000, "ms/night")
			b.ReportMetric(float64(size(b, dir))/float64(count), "bytes/result")
		})
		middle := resultstest.First.AddDate(0, 0, nights/2)
		end := resultstest.First.AddDate(0, 0, nights)
		week := 7 * 24 * time.Hour
		for name, sel := range map[string][2]results.Selection{
			"halves": {{Until: middle.Add(-1)}, {Since: middle}},
			"weeks":  {{Since: end.Add(-2 * week), Until: end.Add(-week - 1)}, {Since: end.Add(-week)}},
		} {
			b.Run(fmt.Sprintf("compare-%s/%d", name, count), func(b *testing.B) {
				peak := uint64(0)
				for b.Loop() {
					peak = max(peak, half(b, dir, sel))
				}
				b.ReportMetric(float64(peak)/(1<<20), "MiB-kept")
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(count), "us/result")
			})
		}
	}
}

// fill adds nights, and is not timed while it makes them.
func fill(b *testing.B, dir string, nights int) {
	store, err := results.Create(dir)
	if err != nil {
		b.Fatal(err)
	}
	w := resultstest.NewWorld(scenariosANight, envsANight, 1)
	for n := range nights {
		b.StopTimer()
		night := w.Night(n)
		b.StartTimer()
		if _, _, err := store.Add(context.Background(), night); err != nil {
			b.Fatal(err)
		}
	}
}

// half compares two selections, and returns the bytes of memory that are in use when all results have been added.
func half(b *testing.B, dir string, sel [2]results.Selection) uint64 {
	store, err := results.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	c := compare.NewComparer("base", "head")
	for i, add := range []func(*results.Result){c.Base, c.Head} {
		if problems, err := store.Each(context.Background(), sel[i], add); err != nil || len(problems) > 0 {
			b.Fatal(err, problems)
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if got := c.Comparison(); len(got.Pairs) != scenariosANight*envsANight {
		b.Fatal(got.Says)
	}
	return m.HeapInuse
}

func size(b *testing.B, dir string) int64 {
	var all int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		all += info.Size()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return all
}
