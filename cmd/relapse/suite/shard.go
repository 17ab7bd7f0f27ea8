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

// Cost is how much of a machine's time a scenario is expected to take.
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

// Variant is the id of a scenario and of one of its variants.
type Variant struct{ Scenario, ID string }

// Costs returns how long the lanes of each scenario take together. Took is how long a lane of a variant took, where that was recorded. What
// was not recorded is estimated by the attempts that the scenario's file asks for, in proportion to what was.
func Costs(list []*scenario.Scenario, took map[Variant]time.Duration) []Cost {
	var recorded, guessed time.Duration
	costs, rest := make([]Cost, len(list)), make([]time.Duration, len(list))
	for i, s := range list {
		costs[i].Scenario = s.Metadata.ID
		for k := range s.Variants {
			v := &s.Variants[k]
			lanes := plan.Lanes(s, v, false)
			guess := estimate(s, v, lanes)
			lane, ok := took[Variant{s.Metadata.ID, v.ID}]
			if !ok {
				rest[i] += guess
				continue
			}
			all := lane * time.Duration(len(lanes))
			costs[i].Time += all
			recorded, guessed = recorded+all, guessed+guess
		}
	}
	for i := range costs {
		if recorded > 0 {
			rest[i] = time.Duration(float64(rest[i]) * float64(recorded) / float64(guessed))
		}
		costs[i].Time += rest[i]
	}
	return costs
}

// perPhase is what a phase takes beside its attempts: changes, waits for readings, detectors. It is a rough figure from runs in the lab.
const perPhase = time.Second

// estimate is how long lanes of a variant take together.
func estimate(s *scenario.Scenario, v *scenario.Variant, lanes []plan.Lane) time.Duration {
	var sum time.Duration
	for _, l := range lanes {
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
	return sum
}
