package suite

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Shard is one part of a suite that several machines share: the Number-th of Of, from 1.
type Shard struct{ Number, Of int }

var shardForm = regexp.MustCompile(`^([1-9][0-9]{0,3})/([1-9][0-9]{0,3})$`)

// ParseShard reads "2/8".
func ParseShard(text string) (Shard, error) {
	if parts := shardForm.FindStringSubmatch(text); parts != nil {
		number, _ := strconv.Atoi(parts[1])
		of, _ := strconv.Atoi(parts[2])
		if number <= of {
			return Shard{number, of}, nil
		}
	}
	return Shard{}, fmt.Errorf("%q is not a shard: write K/N with K from 1 to N, such as 2/8 for the second of eight", text)
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Number, s.Of) }

// Cost is how long a scenario is expected to take.
type Cost struct {
	Scenario string
	Time     time.Duration
}

// Split divides scenarios so that every shard takes about the same time: the longest first, each to the shard that has the least to do.
// The result depends on nothing but the arguments, and not on their order, so that machines which know nothing of each other agree. Every
// scenario is in one shard, and with at least as many scenarios as shards none is empty. A shard lists the longest first.
func Split(costs []Cost, shards int) [][]Cost {
	costs = slices.Clone(costs)
	slices.SortFunc(costs, func(a, b Cost) int { return cmp.Or(cmp.Compare(b.Time, a.Time), cmp.Compare(a.Scenario, b.Scenario)) })
	parts := make([][]Cost, shards)
	load := make([]time.Duration, shards)
	for _, c := range costs {
		least := 0
		for i := range parts {
			if cmp.Or(cmp.Compare(load[i], load[least]), cmp.Compare(len(parts[i]), len(parts[least]))) < 0 {
				least = i
			}
		}
		parts[least] = append(parts[least], c)
		load[least] += max(c.Time, 0)
	}
	return parts
}

// Costs returns what each scenario costs: the time that was recorded, or else an estimate in proportion to those that were.
func Costs(list []*scenario.Scenario, recorded map[string]time.Duration) []Cost {
	var known, guessed time.Duration
	for _, s := range list {
		if took, ok := recorded[s.Metadata.ID]; ok {
			known, guessed = known+took, guessed+estimate(s)
		}
	}
	var costs []Cost
	for _, s := range list {
		took, ok := recorded[s.Metadata.ID]
		if !ok {
			took = estimate(s)
			if known > 0 {
				took = time.Duration(float64(took) * float64(known) / float64(guessed))
			}
		}
		costs = append(costs, Cost{s.Metadata.ID, took})
	}
	return costs
}

// perPhase is what a phase takes beside its attempts: changes, waits for readings, detectors. It is a rough figure from runs in the lab.
const perPhase = time.Second

// estimate is how long the lanes of a scenario take together, by the attempts that its file asks for.
func estimate(s *scenario.Scenario) time.Duration {
	var sum time.Duration
	for i := range s.Variants {
		v := &s.Variants[i]
		for _, l := range plan.Lanes(s, v, false) {
			for _, p := range l.Phases {
				var longest time.Duration
				for _, probe := range s.ProbesOf(v.ID) {
					if !probe.Background {
						longest = max(longest, time.Duration(plan.Attempts(v, probe, p.Phase, 0))*probe.Every.Std())
					}
				}
				sum += perPhase + longest
			}
		}
	}
	return sum
}
