package reports

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// rareRun is a run of a failure that shows in one attempt of four, of which the scenario states from low to high.
func rareRun(low, high float64) Data {
	none := units.PercentRange{Max: ptr(units.Percent(0))}
	s := &scenario.Scenario{
		Metadata: scenario.Metadata{ID: "rare"},
		Probes:   []scenario.Probe{{ID: "lookup", Attempts: 12}},
		Healthy:  []scenario.ProbeExpectation{{Probe: "lookup", Failed: &none, Slowest: &units.DurationRange{Max: seconds(0.5)}}},
		Variants: []scenario.Variant{{ID: "default", Symptom: scenario.Symptom{
			Probe: "lookup", Attempt: scenario.AttemptCriterion{Took: &units.DurationRange{Min: seconds(4.9)}},
			Share: &units.PercentRange{Min: ptr(units.Percent(low)), Max: ptr(units.Percent(high))},
		}}},
		Remedies: []scenario.Remedy{{ID: "one"}, {ID: "other"}},
	}
	made := &synth{}
	for _, id := range []string{"one", "other"} {
		course := []act{{Phase: "baseline"}, {Phase: "fault"}, {Phase: "remedy/" + id}, {Phase: "relapse/" + id}, {Phase: "restored"}}
		for i := range course {
			course[i].Every, course[i].Took, course[i].Attempts = 0.02, 0.0018, 12
		}
		made.lane("default/"+id, "lookup", 1, map[string]float64{"drop": 0}, course)
	}
	n := 0
	for _, e := range made.events {
		if e.Sample != nil && (e.Phase == "fault" || kind(e.Phase) == "relapse") {
			if n++; n%4 == 0 {
				e.Sample.Took = 5.01
			}
		}
		if e.Kind == history.PhaseEnd && e.Phase == "restored" {
			made.add(history.Event{T: e.T, Lane: e.Lane, Phase: e.Phase, Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: "node/node-1"}})
		}
	}
	made.add(history.Event{T: 99, Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: "host"}})
	d := Data{Scenario: s, Run: rundir.Run{Scenario: "rare"}, Events: made.events}
	d.Verdict = judge.Judge(d.Scenario, d.Run, d.Events)
	return d
}

func (d Data) onlyPicture() plot.Figure { return d.picture(d.variants()[0]) }

// TestThePictureFollowsTheVerdict: a phase is bad if it shows the failure as often as the scenario states, be that the smaller part.
func TestThePictureFollowsTheVerdict(t *testing.T) {
	g := NewWithT(t)
	well := func(name string) plot.Column {
		return plot.Column{Name: name, State: plot.Fine, Word: "ok", Mark: "✓", Judged: "as expected"}
	}
	sick := func(name string) plot.Column {
		c := well(name)
		c.State, c.Word, c.Number = plot.Symptom, "slow", "6 of 24"
		return c
	}
	d := rareRun(0.2, 0.5)
	g.Expect(d.Verdict.Outcome).To(Equal(judge.Pass), d.Verdict.Reason)
	figure := d.onlyPicture()
	for _, i := range []int{0, 2, 4} {
		g.Expect(figure.Columns[i].Number).To(HaveSuffix(" ms"), "the median")
		figure.Columns[i].Number = ""
	}
	g.Expect(figure.Columns).To(Equal([]plot.Column{well("baseline"), sick("fault"), well("remedy"), sick("relapse"), well("restored")}))
	g.Expect(figure.Desc).To(ContainSubstring("fault: slow, 6 of 24 attempts, as expected. remedy: ok, median "))
	for _, l := range figure.Lanes {
		g.Expect(l.Cells[1].State).To(Equal(plot.Symptom))
		g.Expect(l.Cells[1].Short).To(Equal("3 of 12"))
		g.Expect(l.Cells[2].State).To(Equal(plot.Fine))
	}

	// More or fewer than that is not the failure, though some attempts are bad.
	for _, share := range [][2]float64{{0.5, 1}, {0.01, 0.1}} {
		d := rareRun(share[0], share[1])
		g.Expect(d.Verdict.Outcome).To(Equal(judge.Fail))
		fault := d.onlyPicture().Columns[1]
		g.Expect(fault).To(Equal(plot.Column{Name: "fault", State: plot.Partly, Word: "partly", Number: "6 of 24", Mark: "✗", Judged: "not as expected", Wrong: true}))
	}
}

// TestAPictureWithoutSightings: a verdict of an older version holds none, and a crashed run has no verdict.
func TestAPictureWithoutSightings(t *testing.T) {
	g := NewWithT(t)
	d := rareRun(0.2, 0.5)
	want := d.onlyPicture()
	v := &d.Verdict.Variants[0]
	v.Kinds = nil
	for i := range v.Phases {
		v.Phases[i].Lanes = nil
	}
	g.Expect(d.onlyPicture()).To(Equal(want))

	d.crashed("there is no verdict")
	for i := range want.Columns {
		want.Columns[i].Mark, want.Columns[i].Judged = "?", "not judged"
	}
	got := d.onlyPicture()
	g.Expect(got.Columns).To(Equal(want.Columns))
	g.Expect(got.Lanes).To(Equal(want.Lanes))
}

// TestAGaugeShowsItsValue: a number of which the scenario expects a value did not rise by it.
func TestAGaugeShowsItsValue(t *testing.T) {
	g := NewWithT(t)
	d := rareRun(0.2, 0.5)
	for i, e := range d.Events {
		if e.Reading != nil {
			d.Events[i].Reading = &history.Reading{Reader: "sysctl", On: "node/node-1", At: e.Reading.At, Values: map[string]float64{"forward": map[bool]float64{true: 0, false: 1}[e.Phase == "fault" && e.Reading.At == "end"], "packets": e.T}}
		}
	}
	one := 1.0
	d.Scenario.Variants[0].Fault.Proof = []scenario.ReadingExpectation{
		{Reader: "sysctl", Key: "forward", Value: &units.NumberRange{Max: &one}}, {Reader: "sysctl", Key: "packets", Rise: &units.NumberRange{Min: &one}},
	}
	counters := d.onlyPicture().Lanes[0].Counters
	g.Expect(counters[0].Texts).To(Equal([]string{"1", "0", "1", "1", "1"}))
	g.Expect(counters[0].Moved).To(Equal([]bool{false, true, false, false, false}))
	g.Expect(counters[1].Texts).To(HaveEach(HavePrefix("+")))
}
