package results_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// folder is a run of a scenario with one variant, one remedy, a detector of a counter and one of failed attempts. The fault is made at 10 s,
// the counter rises at 12.5 s, the second attempt of four fails at 13 s. The remedy is made at 20 s, and the first attempt afterwards still
// fails; the second succeeds at 23 s.
func folder() results.Folder {
	yes, one := true, 1.0
	half := units.Percent(0.25)
	failed := true
	s := &scenario.Scenario{
		Metadata: scenario.Metadata{ID: "small"},
		Probes:   []scenario.Probe{{ID: "request", From: "pod/client", Attempts: 4}},
		Variants: []scenario.Variant{{
			ID: "default", Mechanism: "forced", Symptom: scenario.Symptom{Probe: "request", Attempt: scenario.AttemptCriterion{Failed: &failed}},
			Fault: scenario.Fault{Changes: []scenario.Step{{ID: "drop", On: "nodes"}}},
		}},
		Detection: []scenario.Detector{
			{ID: "counter", Use: scenario.Use{Name: "counter", Config: &detect.Counter{ReadingExpectation: scenario.ReadingExpectation{
				Reader: "snmp", On: "nodes", Key: "drops", Rise: &units.NumberRange{Min: &one},
			}}}},
			{ID: "slow", Use: scenario.Use{Name: "latency", Config: &detect.Latency{
				Probe: "request", Took: *took(time.Second), Share: units.PercentRange{Min: &half},
			}}},
		},
		Remedies: []scenario.Remedy{{ID: "cure", Changes: []scenario.Step{{ID: "accept", On: "nodes"}}}},
		Claims:   []scenario.Claim{{ID: "counts", Check: scenario.ClaimCheck{Variant: "default", Phase: "fault"}}},
	}
	f := results.Folder{
		Name: "20261130-214135-small-lab", Scenario: s,
		Run: rundir.Run{
			ID: "r1", Scenario: "small", Title: "Small", Digest: "sha256:1", Cluster: "kind", Proxy: "ipvs", Start: "2026-11-30T22:00:00.5+01:00",
			Versions: map[string]string{"kernel": "6.18.44", "kubernetes": "v1.36.3", "cni": "calico v3.28.5", "relapse": "abc"},
		},
		Verdict: &judge.Verdict{Outcome: judge.Pass, Restored: judge.Restored{Clean: true},
			Claims: []judge.Claim{{ID: "counts", Expected: judge.Holds, Result: judge.Refuted, Seen: "rose by 0"}},
			Variants: []judge.Variant{{
				Name: "default", Outcome: judge.Pass, Reproduction: judge.Reproduction{Hits: 3, Trials: 4, Attempts: 5},
				Phases: []judge.Phase{
					{Name: "fault", Outcome: judge.Pass, Probes: map[string]judge.Samples{"request": {Count: 4, Failed: 3, P50: 1.23456789, P99: 2, Max: 2}},
						Detectors: map[string]judge.Detected{"counter": {Fired: true, Expected: &yes}, "slow": {Fired: true, Expected: &yes}}},
					{Name: "remedy/cure", Outcome: judge.Fail, Checks: []judge.Check{{What: "a", OK: true}, {What: "request: fails", Seen: "1 of 4"}},
						Detectors: map[string]judge.Detected{"counter": {Blind: true, Text: "not read", Expected: new(bool)}}},
				},
			}}},
	}
	add := func(t float64, phase string, e history.Event) {
		e.T, e.Lane, e.Phase = t, "default/cure", phase
		f.Events = append(f.Events, e)
	}
	change := func(t float64, phase, id string) {
		add(t, phase, history.Event{Kind: history.KindChange, Change: &history.Change{ID: id, On: "node/node-1", Action: "apply"}})
	}
	reading := func(t float64, phase, at string, drops float64) {
		add(t, phase, history.Event{Kind: history.KindReading, Reading: &history.Reading{
			Reader: "snmp", On: "node/node-1", For: []string{"nodes"}, At: at, Values: map[string]float64{"drops": drops},
		}})
	}
	sample := func(t, seconds float64, phase, err string) {
		add(t, phase, history.Event{Kind: history.KindSample, Sample: &history.Sample{Probe: "request", Start: t - seconds, Took: seconds, Error: err}})
	}
	add(9, "fault", history.Event{Kind: history.PhaseBegin})
	change(10, "fault", "drop")
	reading(11, "fault", "begin", 5)
	sample(12, 0.1, "fault", "")
	reading(12.25, "fault", "", 5)
	reading(12.5, "fault", "", 6)
	sample(13, 1.5, "fault", "refused")
	sample(14, 1.5, "fault", "refused")
	sample(15, 1.5, "fault", "refused")
	reading(16, "fault", "end", 9)
	add(17, "fault", history.Event{Kind: history.PhaseEnd})
	add(18, "remedy/cure", history.Event{Kind: history.PhaseBegin})
	change(20, "remedy/cure", "accept")
	reading(21, "remedy/cure", "begin", 9)
	sample(22, 0.1, "remedy/cure", "refused")
	sample(23, 0.1, "remedy/cure", "")
	sample(24, 0.1, "remedy/cure", "")
	reading(25, "remedy/cure", "end", 9)
	add(26, "remedy/cure", history.Event{Kind: history.PhaseEnd})
	return f
}

func took(least time.Duration) *units.DurationRange {
	d := units.Duration(least)
	return &units.DurationRange{Min: &d}
}

func TestARunBecomesAResult(t *testing.T) {
	g := NewWithT(t)
	list, err := results.Distil(folder())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list).To(HaveLen(1))
	r := list[0]
	g.Expect(r.Start).To(Equal(time.Date(2026, 11, 30, 21, 0, 0, 500_000_000, time.UTC)))
	g.Expect(r.Env.Key()).To(Equal("kind/calico/ipvs/k8s-1.36/linux-6.18"))
	g.Expect(r.Took).To(Equal(17.0))
	g.Expect(r.Mechanism).To(Equal("forced"))
	g.Expect(r.Reproduction).To(Equal(results.Reproduction{Hits: 3, Trials: 4, Attempts: 5}))
	fault, cure := r.Phase("fault"), r.Phase("remedy/cure")
	g.Expect(fault.Took).To(Equal(8.0))
	g.Expect(fault.Probes["request"]).To(Equal(results.Samples{Count: 4, Failed: 3, P50: 1.2346, P99: 2, Max: 2}))
	g.Expect(fault.Detectors["counter"].After).To(HaveValue(Equal(2.5)), "from the change to the first reading that is high enough")
	g.Expect(fault.Detectors["slow"].After).To(HaveValue(Equal(3.0)), "when the second attempt of two had failed")
	g.Expect(fault.Recovery).To(BeNil())
	g.Expect(cure.Recovery).To(HaveValue(Equal(3.0)), "the first attempt that was well, and all after it")
	g.Expect(cure.Why).To(Equal("request: fails: 1 of 4"))
	g.Expect(cure.Detectors["counter"]).To(Equal(results.Detected{Says: results.Blind, Expected: results.Quiet, Seen: "not read"}))
	g.Expect(r.Claims).To(Equal([]results.Claim{{ID: "counts", Expected: judge.Holds, Result: judge.Refuted, Seen: "rose by 0"}}))
	g.Expect(r.Restored).To(HaveValue(BeTrue()))

	named := folder()
	named.Host = "ubuntu-24.04"
	list, err = results.Distil(named)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list[0].Env.Key()).To(Equal("kind/calico/ipvs/k8s-1.36/ubuntu-24.04"))
}

func TestRunsWithoutAnAnswerAreResults(t *testing.T) {
	g := NewWithT(t)
	distil := func(change func(*results.Folder)) []results.Result {
		f := folder()
		change(&f)
		list, err := results.Distil(f)
		g.Expect(err).NotTo(HaveOccurred())
		return list
	}
	crash := func(f *results.Folder) {
		f.Verdict = nil
		f.Events = append(f.Events, history.Event{T: 30, Kind: history.KindError, Text: "killed"})
	}
	r := distil(crash)[0]
	g.Expect([]any{r.Variant, r.Outcome, r.Reason, r.Crashed, r.Took}).To(Equal(
		[]any{"default", judge.Inconclusive, "the run ended before it was judged: killed", true, 17.0}))
	// Also if its scenario cannot be loaded any more, and if it never got that far.
	r = distil(func(f *results.Folder) { crash(f); f.Scenario = nil })[0]
	g.Expect([]any{r.Variant, r.Outcome, r.Crashed}).To(Equal([]any{"", judge.Inconclusive, true}))
	r = distil(func(f *results.Folder) {
		f.Verdict, f.Events, f.Run.Skipped = nil, nil, map[string]string{"default": "no nfqueue"}
	})[0]
	g.Expect([]any{r.Variant, r.Outcome, r.Reason, r.Crashed}).To(Equal([]any{"default", judge.Skipped, "no nfqueue", false}))
	// What a person left out is nothing to remember.
	g.Expect(distil(func(f *results.Folder) { f.Run.Skipped = map[string]string{"default": rundir.NotAskedFor} })).To(BeEmpty())
	// What no variant explains is told with each.
	r = distil(func(f *results.Folder) {
		f.Verdict.Claims = nil
		f.Verdict.Outcome, f.Verdict.Reason, f.Verdict.Restored.Clean = judge.Fail, "not as before", false
	})[0]
	g.Expect([]any{r.Outcome, r.Reason, *r.Restored}).To(Equal([]any{judge.Fail, "not as before", false}))
	// Without a scenario only the times of detectors and recoveries are not known.
	r = distil(func(f *results.Folder) { f.Scenario = nil })[0]
	g.Expect(r.Phase("fault").Took).To(Equal(8.0))
	g.Expect(r.Phase("fault").Detectors["counter"].After).To(BeNil())
}

func TestHostileFolders(t *testing.T) {
	g := NewWithT(t)
	for want, change := range map[string]func(*results.Folder){
		"run.json: start: ": func(f *results.Folder) { f.Run.Start = "yesterday" },
		"run is missing":    func(f *results.Folder) { f.Run.ID = "" },
		"reproduction: 9 hits in 4 trials of 5 attempts": func(f *results.Folder) { f.Verdict.Variants[0].Reproduction.Hits = 9 },
		"phase fault: probe request: 5 of 4 failed": func(f *results.Folder) {
			f.Verdict.Variants[0].Phases[0].Probes["request"] = judge.Samples{Count: 4, Failed: 5}
		},
		"it has more than 3000 phases": func(f *results.Folder) {
			for range 3000 {
				f.Verdict.Variants[0].Phases = append(f.Verdict.Variants[0].Phases, judge.Phase{Name: "x", Outcome: judge.Pass})
			}
		},
	} {
		f := folder()
		change(&f)
		_, err := results.Distil(f)
		g.Expect(err).To(MatchError(ContainSubstring(want)))
	}
	// Numbers that are none are 0, long texts are cut between characters.
	f := folder()
	f.Verdict.Variants[0].Phases[0].Probes["request"] = judge.Samples{Count: 4, P50: math.Inf(1)}
	f.Verdict.Variants[0].Reason = string(make([]byte, 499)) + "äää"
	list, err := results.Distil(f)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(list[0].Phases[0].Probes["request"].P50).To(BeZero())
	g.Expect(list[0].Reason).To(HaveLen(499 + len("…")))
}

// FuzzFolder: whatever a run folder holds, nothing panics, and what is made of it can be written.
func FuzzFolder(f *testing.F) {
	text := func(v any) []byte {
		data, err := json.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	one := folder()
	f.Add(text(one.Run), text(one.Verdict), text(one.Events))
	f.Add(text(one.Run), []byte("null"), text(one.Events))
	f.Fuzz(func(t *testing.T, run, verdict, events []byte) {
		g := NewWithT(t)
		in := results.Folder{Name: "x", Scenario: folder().Scenario}
		if json.Unmarshal(run, &in.Run) != nil || json.Unmarshal(verdict, &in.Verdict) != nil || json.Unmarshal(events, &in.Events) != nil {
			return
		}
		list, err := results.Distil(in)
		if err != nil {
			return
		}
		for _, r := range list {
			_, err := results.Line(r)
			g.Expect(err).NotTo(HaveOccurred())
		}
	})
}
