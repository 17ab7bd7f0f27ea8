package matrix_test

import (
	"testing"
	"testing/fstest"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/matrix"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// failure is a scenario of one detector, which looks for a rise of a counter.
func failure(id, key, expect string) *scenario.Scenario {
	least := 1.0
	return &scenario.Scenario{
		Metadata: scenario.Metadata{ID: id}, Variants: []scenario.Variant{{ID: "default", Symptom: scenario.Symptom{Probe: "p"}}},
		Detection: []scenario.Detector{{ID: key, Expect: expect, Use: scenario.Use{Name: "counter", Config: &detect.Counter{
			ReadingExpectation: scenario.ReadingExpectation{Reader: "snmp", On: "nodes", Key: key, Rise: &units.NumberRange{Min: &least}},
		}}}},
	}
}

// recorded is a run in which these counters have risen, written to a file and read again.
func recorded(t *testing.T, s *scenario.Scenario, risen ...string) matrix.Recording {
	t.Helper()
	g := NewWithT(t)
	begin, end := map[string]float64{"a": 0, "b": 0}, map[string]float64{"a": 0, "b": 0}
	for _, key := range risen {
		end[key] = 5
	}
	reading := func(t float64, at string, values map[string]float64) history.Event {
		return history.Event{T: t, Lane: "default/r", Phase: "fault", Kind: history.KindReading, Reading: &history.Reading{
			Reader: "snmp", On: "node/node-1", For: []string{"nodes"}, At: at, Values: values,
		}}
	}
	events := []history.Event{
		{T: 1, Lane: "default/r", Phase: "baseline", Kind: history.PhaseBegin},
		{T: 2, Lane: "default/r", Phase: "fault", Kind: history.PhaseBegin}, reading(3, "begin", begin), reading(4, "end", end),
		{T: 5, Lane: "default/r", Phase: "fault", Kind: history.PhaseEnd},
	}
	run := rundir.Run{Scenario: s.Metadata.ID, Netns: map[string]uint64{"default/r node/node-1": 7, "other/r node/node-1": 8}}
	text, err := matrix.Record(run, s.Variants[0], events).Lines()
	g.Expect(err).NotTo(HaveOccurred())
	all, err := matrix.Read(fstest.MapFS{"one.jsonl": {Data: text}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(HaveLen(1))
	g.Expect(all[0].Events).To(HaveLen(4), "the fault phase alone")
	g.Expect(all[0].Nodes).To(Equal([]uint64{7}))
	return all[0]
}

func TestMatrix(t *testing.T) {
	g := NewWithT(t)
	one, two := failure("one", "a", ""), failure("two", "b", "")
	both := []*scenario.Scenario{one, two, failure("nothing-recorded", "a", "")}

	m := matrix.Make(both, []matrix.Recording{recorded(t, one, "a"), recorded(t, two, "b")}, nil)
	g.Expect(m.Failures).To(Equal([]string{"one/default", "two/default"}))
	g.Expect(m.Rows).To(HaveLen(2))
	g.Expect(m.Wrong()).To(BeEmpty())
	g.Expect(*m.Rows[0].Recall).To(Equal(1.0))
	g.Expect(*m.Rows[0].Precision).To(Equal(1.0))

	// The counter of the first rises in the second too, and that of the second does not rise.
	m = matrix.Make(both, []matrix.Recording{recorded(t, one, "a"), recorded(t, two, "a")}, nil)
	g.Expect(m.Wrong()).To(ConsistOf(
		HavePrefix("one/a fires on two/default, and overlaps.yaml does not say why"), HavePrefix("two/b does not fire on its own two/default")))
	g.Expect(*m.Rows[0].Precision).To(Equal(0.5))
	g.Expect(*m.Rows[1].Recall).To(Equal(0.0))
	g.Expect(m.Rows[1].Precision).To(BeNil())

	// Explained; but not what does not occur.
	m = matrix.Make([]*scenario.Scenario{one, failure("two", "b", scenario.ExpectSilent)}, []matrix.Recording{recorded(t, one, "a"), recorded(t, two, "a")},
		[]matrix.Overlap{{Detector: "one/a", On: []string{"two/default"}, Why: "so it is"}, {Detector: "two/b", On: []string{"one/default"}, Why: "no"}})
	g.Expect(m.Wrong()).To(Equal([]string{"overlaps.yaml explains two/b on one/default, which does not occur"}))

	// One that is known not to see it sees it.
	m = matrix.Make([]*scenario.Scenario{failure("two", "b", scenario.ExpectSilent)}, []matrix.Recording{recorded(t, two, "b")}, nil)
	g.Expect(m.Wrong()).To(ConsistOf(HavePrefix("two/b fires on two/default, where it should be quiet")))
}
