package compare_test

import (
	"cmp"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/results/resultstest"
)

func compared(base, head []results.Result) compare.Comparison {
	c := compare.NewComparer("base", "head")
	for i := range base {
		c.Base(&base[i])
	}
	for i := range head {
		c.Head(&head[i])
	}
	return c.Comparison()
}

// alarms are the findings of a comparison, as SCENARIO: CHANGE: SUBJECT: SAYS.
func alarms(c compare.Comparison) []string {
	var list []string
	for _, p := range c.Pairs {
		for _, f := range p.Findings {
			list = append(list, p.Scenario+": "+string(f.Change)+": "+f.String()+": "+f.Says)
		}
	}
	return list
}

// broken changes the results of one scenario.
func broken(list []results.Result, scenario string, change func(i int, r *results.Result)) []results.Result {
	n := 0
	for i := range list {
		if list[i].Scenario == scenario {
			change(n, &list[i])
			n++
		}
	}
	return list
}

func TestNothingChanged(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(10, 2, 1)
	c := compared(w.Nights(0, 12), w.Nights(12, 24))
	g.Expect(alarms(c)).To(BeEmpty())
	g.Expect(c.Change).To(Equal(compare.Same))
	g.Expect(c.Counts).To(Equal(map[compare.Change]int{compare.Same: 20}))
	g.Expect(c.Method.Tests).To(BeNumerically(">", 400))
	g.Expect(c.Base.Runs).To(Equal(240))
	g.Expect(c.Versions).To(HaveLen(2), "relapse is another in each")
	g.Expect(c.Versions[0].Differ).To(HaveLen(1))
	g.Expect(c.Versions[0].Differ[0].Name).To(Equal("relapse"))
}

// split splits the nights in two 200 times, and counts the comparisons with any alarm, and those with a difference that would be one if small
// differences were told, too.
func split(t *testing.T, nights [][]results.Result) (pages, small int) {
	rng := rand.New(rand.NewPCG(3, 3))
	nights = slices.Clone(nights)
	for range 200 {
		rng.Shuffle(len(nights), func(i, j int) { nights[i], nights[j] = nights[j], nights[i] })
		half := [2][][]results.Result{slices.Clone(nights[:len(nights)/2]), slices.Clone(nights[len(nights)/2:])}
		for _, side := range half {
			slices.SortFunc(side, func(a, b []results.Result) int { return a[0].Start.Compare(b[0].Start) })
		}
		c := compared(slices.Concat(half[0]...), slices.Concat(half[1]...))
		if found := alarms(c); len(found) > 0 {
			pages++
			t.Log(found)
		}
		if slices.ContainsFunc(c.Pairs, func(p compare.Pair) bool {
			return slices.ContainsFunc(p.Tests, func(t compare.Test) bool { return t.Q <= c.Method.Alpha })
		}) {
			small++
		}
	}
	t.Logf("%d of 200 comparisons have an alarm, %d if small differences were told", pages, small)
	return pages, small
}

// Equal distributions: any alarm is a false one.
func TestFalseAlarmsAreRare(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(6, 1, 2)
	w.Inconclusive = 0.02
	nights := make([][]results.Result, 24)
	for i := range nights {
		nights[i] = w.Night(i)
	}
	pages, small := split(t, nights)
	g.Expect(pages).To(BeNumerically("<=", 10), "5 in 100")
	g.Expect(small).To(BeNumerically("<=", 15), "5 in 100, and what chance adds in one of twenty such tests")
}

// The same with recorded runs of five scenarios, and with the store in RELAPSE_STORE, if that is given.
func TestFalseAlarmsOnRecordedRuns(t *testing.T) {
	g := NewWithT(t)
	store, err := results.Open(cmp.Or(os.Getenv("RELAPSE_STORE"), "../results/testdata/format-1"))
	g.Expect(err).NotTo(HaveOccurred())
	nights := map[[2]string][][]results.Result{} // the nth night has the nth run of each
	problems, err := store.Each(t.Context(), results.Selection{}, func(r *results.Result) {
		k := [2]string{r.Scenario, r.Variant}
		nights[k] = append(nights[k], []results.Result{*r})
	})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(problems).To(BeEmpty())
	var all [][]results.Result
	for k := range nights {
		for i, night := range nights[k] {
			if i == len(all) {
				all = append(all, nil)
			}
			all[i] = append(all[i], night...)
		}
	}
	g.Expect(len(all)).To(BeNumerically(">=", 2*4), "runs of each")
	pages, _ := split(t, all)
	g.Expect(pages).To(BeNumerically("<=", 10), "5 in 100")
}

func TestRegressionsAreFoundAndNamed(t *testing.T) {
	for name, test := range map[string]struct {
		change func(i int, r *results.Result)
		// nights is how many HEAD has.
		nights int
		want   []string
	}{
		"a run failed once": {func(_ int, r *results.Result) {
			r.Outcome, r.Reason = judge.Fail, "remedy larger-table did not cure it"
		}, 1,
			[]string{"scenario-3: worse: outcome: failed 1 of 1, before 0 of 12"}},
		"a claim flipped": {func(_ int, r *results.Result) { r.Claims[1].Result = judge.Refuted }, 1,
			[]string{"scenario-3: worse: claim counter-rises: was refuted 1 of 1, before 0 of 12"}},
		"a detector is blinded": {func(_ int, r *results.Result) {
			for _, p := range r.Phases {
				if p.Detectors["drops"].Expected == results.Fired {
					p.Detectors["drops"] = results.Detected{Says: results.Quiet, Expected: results.Fired, Seen: "drop rose by 0"}
				}
			}
		}, 2, []string{
			"scenario-3: worse: detector drops in fault: was silent 2 of 2, before 0 of 12",
			"scenario-3: worse: detector drops in relapse/larger-table: was silent 2 of 2, before 0 of 12",
			"scenario-3: worse: detector drops in relapse/other-proxy: was silent 2 of 2, before 0 of 12",
			"scenario-3: worse: detector drops in relapse/shorter-timeout: was silent 2 of 2, before 0 of 12",
		}},
		"a detector is noisy": {func(_ int, r *results.Result) {
			r.Phases[0].Detectors["log"] = results.Detected{Says: results.Fired, Expected: results.Quiet}
		}, 1, []string{"scenario-3: worse: detector log in baseline: fired 1 of 1, before 0 of 12"}},
		"a detector has nothing to see": {func(_ int, r *results.Result) {
			r.Phases[1].Detectors["slow"] = results.Detected{Says: results.Blind, Expected: results.Fired}
		}, 3, []string{"scenario-3: inconclusive: detector slow in fault: had nothing to see 3 of 3, before fired 12 of 12"}},
		"the fault misses every third attempt": {func(i int, r *results.Result) {
			r.Reproduction.Hits = 16 + i%2
		}, 12, []string{"scenario-3: worse: reproduction: trials that show the failure: 198 of 300 (60 to 71 %), before 300 of 300 (99 to 100 %): -34 points, corrected p = "}},
		"the fault meets two thirds": {func(i int, r *results.Result) {
			r.Reproduction.Attempts = 37 + i%2
		}, 12, []string{"scenario-3: worse: proof of the fault: attempts that the fault met: 300 of 450 (62 to 71 %), before 300 of 3"}},
		"recovery is 30 % slower": {func(_ int, r *results.Result) {
			slower := *r.Phase("remedy/larger-table").Recovery * 1.3
			r.Phase("remedy/larger-table").Recovery = &slower
		}, 12, []string{"scenario-3: worse: time to recover in remedy/larger-table: 1.9"}},
		"detection is slower": {func(_ int, r *results.Result) {
			slower := *r.Phases[1].Detectors["drops"].After + 1
			r.Phases[1].Detectors["drops"] = results.Detected{Says: results.Fired, Expected: results.Fired, After: &slower}
		}, 12, []string{"scenario-3: worse: time until detector drops fired in fault: "}},
		"a remedy helps less": {func(_ int, r *results.Result) {
			s := r.Phase("remedy/other-proxy").Probes["lookup"]
			s.P50 *= 1.5
			r.Phase("remedy/other-proxy").Probes["lookup"] = s
		}, 12, []string{"scenario-3: worse: latency of lookup in remedy/other-proxy: "}},
		"something is left behind": {func(_ int, r *results.Result) { no := false; r.Restored = &no }, 1,
			[]string{"scenario-3: worse: restored: left something behind 1 of 1, before 0 of 12"}},
		"it is skipped now": {func(_ int, r *results.Result) {
			*r = results.Result{Format: 1, Run: r.Run, Scenario: r.Scenario, Variant: r.Variant, Env: r.Env, Start: r.Start, Outcome: judge.Skipped, Reason: "no nfqueue"}
		}, 1, []string{"scenario-3: skipped: outcome: was skipped 1 of 1, before passed 12 of 12"}},
		"it is inconclusive now": {func(_ int, r *results.Result) {
			*r = results.Result{Format: 1, Run: r.Run, Scenario: r.Scenario, Variant: r.Variant, Env: r.Env, Start: r.Start, Outcome: judge.Inconclusive, Crashed: true}
		}, 1, []string{"scenario-3: inconclusive: outcome: was inconclusive 1 of 1, before passed 12 of 12"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w := resultstest.NewWorld(6, 1, 4)
			c := compared(w.Nights(0, 12), broken(w.Nights(12, 12+test.nights), "scenario-3", test.change))
			found := alarms(c)
			g.Expect(found).To(HaveLen(len(test.want)))
			for i, want := range test.want {
				g.Expect(found[i]).To(HavePrefix(want))
			}
			g.Expect(c.Pairs[0].Scenario).To(Equal("scenario-3"))
		})
	}
}

// What is better is told too, and does not count as worse.
func TestImprovements(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(2, 1, 5)
	fail := func(_ int, r *results.Result) { r.Outcome = judge.Fail }
	c := compared(broken(w.Nights(0, 3), "scenario-1", fail), w.Nights(3, 4))
	g.Expect(alarms(c)).To(Equal([]string{"scenario-1: better: outcome: passed 1 of 1, before failed 3 of 3"}))
	g.Expect(c.Change.Bad()).To(BeFalse())
}

// A kernel that repairs a failure does not show it any more, as the scenario expects.
func TestRepaired(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(2, 1, 11)
	c := compared(w.Night(0), broken(w.Night(1), "scenario-1", func(_ int, r *results.Result) { r.Reproduction.Hits = 0 }))
	g.Expect(alarms(c)).To(ConsistOf(HavePrefix("scenario-1: changed: reproduction: trials that show the failure: 0 of 25")))
	g.Expect(c.Change.Bad()).To(BeFalse())
}

// What a detector said in a phase of which nothing can be concluded is no change, and a claim that was not tested because of that is no
// other news than the run.
func TestInconclusivePhases(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(2, 1, 12)
	c := compared(w.Nights(0, 3), broken(w.Night(3), "scenario-1", func(_ int, r *results.Result) {
		r.Outcome, r.Phases[1].Outcome, r.Reproduction = judge.Inconclusive, judge.Inconclusive, results.Reproduction{}
		r.Phases[1].Detectors["slow"] = results.Detected{Says: results.Quiet, Expected: results.Fired}
		r.Claims[0].Result, r.Claims[0].Excused = judge.Untested, true
	}))
	g.Expect(alarms(c)).To(Equal([]string{
		"scenario-1: inconclusive: outcome: was inconclusive 1 of 1, before passed 3 of 3",
	}), "its phases and claims are so because it is")
	g.Expect(c.Change).To(Equal(compare.Inconclusive))
}

// An answer that both sides gave is tested like a rate.
func TestFlakyRuns(t *testing.T) {
	g := NewWithT(t)
	every := func(n int) func(int, *results.Result) {
		return func(i int, r *results.Result) {
			if i%n == 0 {
				r.Outcome, r.Reason = judge.Fail, "it did not come back"
			}
		}
	}
	w := resultstest.NewWorld(2, 1, 6)
	g.Expect(alarms(compared(broken(w.Nights(0, 12), "scenario-1", every(4)), broken(w.Nights(12, 24), "scenario-1", every(3))))).To(BeEmpty())
	c := compared(broken(w.Nights(0, 24), "scenario-1", every(12)), broken(w.Nights(24, 48), "scenario-1", every(1)))
	g.Expect(alarms(c)).To(ConsistOf(HavePrefix("scenario-1: worse: outcome: fail: 24 of 24 (86 to 100 %), before 2 of 24 (2 to 26 %): +92 points")))
	g.Expect(c.Pairs[0].Findings[0].Why).To(Equal("it did not come back"))
}

func TestNewAndGone(t *testing.T) {
	g := NewWithT(t)
	few, many := resultstest.NewWorld(2, 1, 7), resultstest.NewWorld(3, 1, 7)
	c := compared(few.Night(0), many.Night(1))
	g.Expect(alarms(c)).To(Equal([]string{"scenario-2: new: outcome: passed 1 of 1, and was not there before"}))
	g.Expect(c.Change).To(Equal(compare.New))
	c = compared(many.Night(0), few.Night(1))
	g.Expect(alarms(c)).To(Equal([]string{"scenario-2: gone: outcome: it has no result any more; before it passed 1 of 1"}))
	g.Expect(c.Change.Bad()).To(BeTrue())
	// What was always skipped is not missed.
	c = compared(broken(many.Night(0), "scenario-2", func(_ int, r *results.Result) { r.Outcome = judge.Skipped }), few.Night(1))
	g.Expect(alarms(c)).To(BeEmpty())
	// What is new and fails is as loud as what fails.
	c = compared(few.Night(0), broken(many.Night(1), "scenario-2", func(_ int, r *results.Result) { r.Outcome = judge.Fail }))
	g.Expect(alarms(c)).To(Equal([]string{"scenario-2: worse: outcome: failed 1 of 1, and was not there before"}))
	// A comparison with nothing says so.
	g.Expect(compared(nil, nil).Says).To(Equal("there is nothing to compare: neither side has a result"))
}

func TestTooFewRuns(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(2, 1, 8)
	c := compared(w.Nights(0, 3), w.Nights(3, 6))
	g.Expect(alarms(c)).To(BeEmpty())
	g.Expect(c.Change).To(Equal(compare.NotEnough))
	g.Expect(c.Undecided()).To(BeFalse(), "the outcomes are as before")
	shy := c.Shy()
	g.Expect(shy).NotTo(BeEmpty())
	n := shy[0].Need
	g.Expect(n[0]).To(BeNumerically(">", 3))
	enough := compared(w.Nights(6, 6+n[0]), w.Nights(6+n[0], 6+n[0]+n[1]))
	g.Expect(enough.Shy()).To(BeEmpty(), "as many as it says are enough")
}

// The runs between which a failure came, in HEAD itself or between the sides.
func TestFirstBadAndLastGood(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(2, 1, 9)
	from := func(bad int) func(int, *results.Result) {
		return func(i int, r *results.Result) {
			if i >= bad && i != bad+1 { // it passes once in between
				r.Outcome = judge.Fail
			}
		}
	}
	p := compared(w.Nights(0, 5), broken(w.Nights(5, 10), "scenario-1", from(2))).Pairs[0]
	g.Expect([]string{p.LastGood.Run, p.FirstBad.Run}).To(Equal([]string{"run-6-1-0", "run-7-1-0"}))
	g.Expect(p.Between).To(Equal([]compare.VersionChange{{Name: "relapse", Base: []string{"000000000006"}, Head: []string{"000000000007"}}}))
	p = compared(w.Nights(0, 5), broken(w.Nights(5, 10), "scenario-1", from(0))).Pairs[0]
	g.Expect([]string{p.LastGood.Run, p.FirstBad.Run}).To(Equal([]string{"run-4-1-0", "run-5-1-0"}))
}

// One environment on each side is compared across; several are compared each with its own.
func TestEnvironments(t *testing.T) {
	g := NewWithT(t)
	w := resultstest.NewWorld(2, 2, 10)
	night := w.Night(0)
	c := compared(night[:2], night[2:])
	g.Expect(c.Pairs).To(HaveLen(2))
	g.Expect(c.Pairs[0].BaseEnv + " " + c.Pairs[0].Env).To(Equal("lab/nftables/linux-6.8 lab/nftables/linux-6.9"))
	c = compared(night, night[2:])
	g.Expect(c.Counts[compare.Gone]).To(Equal(2))
}
