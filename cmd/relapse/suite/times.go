package suite

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/relapse-k8s/relapse/harness/results"
)

// lastRuns is how many runs in each environment count for the time of a variant: enough for a median, and few enough to follow a change.
const lastRuns = 9

// Recorded returns how long a lane of each variant took on a kind of cluster (lab or kind), by the median of its last runs in a store of
// results. A store that cannot be read whole is an error: a machine that knew less than the others would divide the suite in another way.
func Recorded(ctx context.Context, dir, cluster string) (map[Variant]time.Duration, error) {
	store, err := results.Open(dir)
	if err != nil {
		return nil, err
	}
	took := map[Variant][]float64{}
	problems, err := store.Each(ctx, results.Selection{Env: cluster, Last: lastRuns}, func(r *results.Result) {
		if v := (Variant{r.Scenario, r.Variant}); !r.Crashed {
			took[v] = append(took[v], r.Took)
		}
	})
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s: %s: %s", dir, problems[0].File, problems[0].What)
	}
	medians := map[Variant]time.Duration{}
	for v, seconds := range took {
		slices.Sort(seconds)
		medians[v] = time.Duration(seconds[len(seconds)/2] * float64(time.Second))
	}
	return medians, nil
}
