package plan_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func steps(ids ...string) []scenario.Step {
	var list []scenario.Step
	for _, id := range ids {
		list = append(list, scenario.Step{ID: id, On: "nodes"})
	}
	return list
}

func reads(key string) []scenario.ReadingExpectation {
	return []scenario.ReadingExpectation{{Reader: "conntrack", On: "nodes", Key: key}}
}

func example() (*scenario.Scenario, *scenario.Variant) {
	s := &scenario.Scenario{
		Variants: []scenario.Variant{{
			ID: "default", RepairedBy: "repair", Symptom: scenario.Symptom{Probe: "lookup"},
			Fault: scenario.Fault{Changes: steps("one", "two"), Effective: reads("on"), Proof: reads("hit"), StillApplied: reads("still")},
		}},
		Remedies: []scenario.Remedy{
			{ID: "cure", Changes: steps("cure"), Effective: reads("cured"), Relapse: reads("back")},
			{ID: "elsewhere", Variants: []string{"other"}, Changes: steps("x")},
		},
		Controls: []scenario.Control{
			{ID: "beside", With: steps("beside"), Proof: reads("beside"), Expect: "symptom"},
			{ID: "idle", With: steps("idle"), Expect: "healthy"},
			{ID: "instead", Instead: steps("instead"), Effective: reads("other"), Expect: "healthy"},
		},
		Detection: []scenario.Detector{{ID: "counter"}, {ID: "log", Needs: []string{"kernel-log"}}, {ID: "blind", Expect: scenario.ExpectSilent}},
	}
	return s, &s.Variants[0]
}

func ids(list []scenario.Step) []string {
	var names []string
	for _, s := range list {
		names = append(names, s.ID)
	}
	return names
}

func keys(list []scenario.ReadingExpectation) []string {
	var names []string
	for _, e := range list {
		names = append(names, e.Key)
	}
	return names
}

// TestEveryChangeIsUndone: whatever a lane makes, it undoes once, and never what is not on.
func TestEveryChangeIsUndone(t *testing.T) {
	s, v := example()
	late := steps("late")
	late[0].After = units.Duration(time.Second)
	v.Fault.Changes = append(v.Fault.Changes, late...)
	s.Remedies[0].Changes = append(s.Remedies[0].Changes, scenario.Step{ID: "late cure", On: "nodes", After: late[0].After})
	s.Controls[2].Instead = append(s.Controls[2].Instead, scenario.Step{ID: "late instead", On: "nodes", After: late[0].After})
	for _, repaired := range []bool{false, true} {
		for _, l := range plan.Lanes(s, v, repaired) {
			g := NewWithT(t)
			on := map[string]bool{}
			for _, p := range l.Phases {
				for _, id := range ids(p.Undo) {
					g.Expect(on).To(HaveKey(id), "%s, %s", l.Name, p)
					delete(on, id)
				}
				for _, id := range append(ids(p.Apply), ids(p.During)...) {
					g.Expect(on).NotTo(HaveKey(id), "%s, %s", l.Name, p)
					on[id] = true
				}
			}
			g.Expect(on).To(BeEmpty(), l.Name)
		}
	}
}

// TestAStepThatIsMadeWhileSamplesAreTaken is made anew in each phase in which it is on.
func TestAStepThatIsMadeWhileSamplesAreTaken(t *testing.T) {
	g := NewWithT(t)
	s, v := example()
	v.Fault.Changes[1].After = units.Duration(time.Second)
	for _, l := range plan.Lanes(s, v, false)[:2] { // with the remedy, and with the control beside the fault
		for _, p := range l.Phases {
			switch p.Kind {
			case "fault":
				g.Expect(ids(p.Apply)).To(Equal([]string{"one"}), l.Name)
				g.Expect(ids(p.During)).To(Equal([]string{"two"}), l.Name)
			case "remedy", "relapse", "control":
				g.Expect(ids(p.Undo)).To(ContainElement("two"), l.Name)
				g.Expect(ids(p.During)).To(Equal([]string{"two"}), l.Name)
			default:
				g.Expect(p.During).To(BeEmpty(), l.Name)
			}
		}
	}
}

func TestLanes(t *testing.T) {
	g := NewWithT(t)
	s, v := example()
	lanes := plan.Lanes(s, v, false)
	var names, phases []string
	for _, l := range lanes {
		names = append(names, l.Name)
	}
	g.Expect(names).To(Equal([]string{"default/cure", "default/beside", "default/idle", "default/instead"}))
	for _, p := range plan.Phases(lanes) {
		phases = append(phases, p.String())
	}
	g.Expect(phases).To(Equal([]string{"baseline", "fault", "remedy/cure", "relapse/cure", "control/beside", "control/idle", "control/instead", "restored"}))
	repaired := plan.Lanes(s, v, true)
	g.Expect(repaired).To(HaveLen(1))
	g.Expect(repaired[0].Name).To(Equal("default/main"))
	g.Expect(repaired[0].Phases[1].Symptom).To(BeFalse())
	g.Expect(*repaired[0].Phases[1].Fires).To(BeFalse())
}

func TestWhatIsWaitedForAndProved(t *testing.T) {
	g := NewWithT(t)
	s, v := example()
	of := func(lane, phase int) plan.Phase { return plan.Lanes(s, v, false)[lane].Phases[phase] }
	for _, c := range []struct {
		lane, phase  int
		until, proof []string
		symptom      bool
	}{
		{0, 1, []string{"on"}, []string{"hit"}, true},
		{0, 2, []string{"cured"}, []string{"still"}, false},
		{0, 3, []string{"on", "back"}, []string{"hit"}, true},
		{1, 2, []string{"on"}, []string{"hit", "beside"}, true},
		{2, 2, []string{"on"}, []string{"still"}, false},
		{3, 2, []string{"other"}, nil, false},
	} {
		p := of(c.lane, c.phase)
		g.Expect(keys(p.Until)).To(Equal(c.until), p.String())
		g.Expect(keys(p.Proof)).To(Equal(c.proof), p.String())
		g.Expect(p.Symptom).To(Equal(c.symptom), p.String())
	}
	g.Expect(of(3, 2).Fires).To(BeNil(), "a detector may fire in a near miss")
	g.Expect(ids(of(1, 3).Undo)).To(Equal([]string{"one", "two", "beside"}))
}

func TestDetectors(t *testing.T) {
	g := NewWithT(t)
	s, v := example()
	asked := plan.Detectors(s, v, func(string) bool { return false })
	g.Expect(asked).To(HaveLen(2), "the kernel log cannot be read")
	for _, p := range plan.Lanes(s, v, false)[0].Phases {
		g.Expect(*plan.Fires(asked[0], p)).To(Equal(p.Symptom))
		g.Expect(*plan.Fires(asked[1], p)).To(BeFalse())
	}
}

func TestAttempts(t *testing.T) {
	g := NewWithT(t)
	_, v := example()
	fault, baseline, restored := scenario.Phase{Kind: "fault"}, scenario.Phase{Kind: "baseline"}, scenario.Phase{Kind: "restored"}
	g.Expect(plan.Attempts(v, scenario.Probe{ID: "lookup", Attempts: 25}, fault, 100)).To(Equal(100))
	g.Expect(plan.Attempts(v, scenario.Probe{ID: "lookup", Attempts: 25}, baseline, 100)).To(Equal(100), "what comes by chance would else be seen under the fault only")
	g.Expect(plan.Attempts(v, scenario.Probe{ID: "lookup", Attempts: 25}, restored, 100)).To(Equal(25))
	g.Expect(plan.Attempts(v, scenario.Probe{ID: "other", Attempts: 20}, fault, 100)).To(Equal(20))
}

func TestAProbeIsWaitedForAtItsOwnPace(t *testing.T) {
	g := NewWithT(t)
	probe := func(timeout time.Duration) scenario.Probe { return scenario.Probe{Timeout: units.Duration(timeout)} }
	for _, c := range []struct {
		timeout time.Duration
		row     plan.Row
		since   time.Duration
		more    bool
	}{
		{5 * time.Second, plan.Row{}, 14 * time.Second, true},
		{5 * time.Second, plan.Row{}, 15 * time.Second, false},
		{5 * time.Second, plan.Row{Times: 9, For: 4900 * time.Millisecond}, 26 * time.Second, true},
		{5 * time.Second, plan.Row{Times: 10, For: time.Second}, time.Second, false},
		{5 * time.Second, plan.Row{Times: 4, For: 10400 * time.Millisecond}, 26 * time.Second, true}, // such as attempts with idle: 2600ms
		{5 * time.Second, plan.Row{Times: 5, For: 13 * time.Second}, 28 * time.Second, false},
		{20 * time.Second, plan.Row{}, 59 * time.Second, true},
		{20 * time.Second, plan.Row{}, 60 * time.Second, false},
		{20 * time.Second, plan.Row{Times: 1, For: time.Second}, 200 * time.Second, true},
	} {
		g.Expect(plan.AwaitReady(probe(c.timeout), c.row, c.since)).To(Equal(c.more), "%+v", c)
	}
}
