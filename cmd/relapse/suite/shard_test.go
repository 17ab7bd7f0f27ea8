package suite

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func TestOnlyAShardThatExistsCanBeAskedFor(t *testing.T) {
	g := NewWithT(t)
	for text, want := range map[string]Shard{"1/1": {1, 1}, "2/8": {2, 8}, "8/8": {8, 8}} {
		shard, err := ParseShard(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(shard).To(Equal(want))
		g.Expect(shard.String()).To(Equal(text))
	}
	for _, text := range []string{"", "x", "2", "2/", "/8", "0/8", "9/8", "1/0", "-1/8", "+1/8", "01/8", "2/8/3", " 2/8", "1.5/8", "1/99999999999999999999"} {
		_, err := ParseShard(text)
		g.Expect(err).To(MatchError(HavePrefix(fmt.Sprintf("%q is not a shard: ", text))))
	}
}

// TestEveryScenarioIsInOneShard checks for many made-up suites what machines that share one rely on.
func TestEveryScenarioIsInOneShard(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var costs []Cost
		var longest, all time.Duration
		for i := range 1 + random.IntN(60) {
			c := Cost{fmt.Sprintf("scenario-%d", i), time.Duration(random.IntN(200)) * time.Second}
			costs, longest, all = append(costs, c), max(longest, c.Time), all+c.Time
		}
		shards := 1 + random.IntN(len(costs))
		parts := Split(costs, shards)
		shuffled := slices.Clone(costs)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		g.Expect(Split(shuffled, shards)).To(Equal(parts), "the order does not matter")
		g.Expect(parts).To(HaveLen(shards))
		g.Expect(parts).NotTo(ContainElement(BeEmpty()))
		g.Expect(slices.Concat(parts...)).To(ConsistOf(costs))
		for _, part := range parts {
			// A scenario is added only to a shard that has no more than the average.
			g.Expect(sum(part)).To(BeNumerically("<=", all/time.Duration(shards)+longest))
		}
	}
}

func sum(costs []Cost) (total time.Duration) {
	for _, c := range costs {
		total += c.Time
	}
	return total
}

func TestTheLongestScenarioHasAShardForItself(t *testing.T) {
	costs := []Cost{{"a", 10 * time.Second}, {"b", 60 * time.Second}, {"c", 20 * time.Second}, {"d", 30 * time.Second}}
	NewWithT(t).Expect(Split(costs, 2)).To(Equal([][]Cost{{{"b", 60 * time.Second}}, {{"d", 30 * time.Second}, {"c", 20 * time.Second}, {"a", 10 * time.Second}}}))
}

func TestWhatWasNotRecordedIsEstimatedInProportion(t *testing.T) {
	g := NewWithT(t)
	of := func(id string, attempts int) *scenario.Scenario {
		s := small(id, false).Scenario
		s.Probes = []scenario.Probe{{ID: "lookup", Attempts: attempts, Every: units.Duration(time.Second)}, {ID: "beside", Attempts: 1000, Every: units.Duration(time.Second), Background: true}}
		return s
	}
	list := []*scenario.Scenario{of("short", 9), of("long", 99)}
	list[0].Remedies = []scenario.Remedy{{ID: "a"}, {ID: "b"}}
	// A lane without a remedy has three phases, one with a remedy five, and each takes a second beside its attempts.
	guess := []Cost{{"short", 2 * 5 * 10 * time.Second}, {"long", 3 * 100 * time.Second}}
	g.Expect(Costs(list, nil)).To(Equal(guess))
	short, long := Variant{"short", "default"}, Variant{"long", "default"}
	g.Expect(Costs(list, map[Variant]time.Duration{short: 25 * time.Second})).To(Equal([]Cost{{"short", 50 * time.Second}, {"long", 150 * time.Second}}))
	g.Expect(Costs(list, map[Variant]time.Duration{short: time.Second, long: 2 * time.Second, {"gone", "default"}: time.Hour})).
		To(Equal([]Cost{{"short", 2 * time.Second}, {"long", 2 * time.Second}}))
	g.Expect(Costs(list, map[Variant]time.Duration{short: 0})).To(Equal([]Cost{{"short", 0}, guess[1]}), "one that was always skipped takes no time")
}
