package judge

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/logs"

	"github.com/google/go-cmp/cmp"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func (b *bench) judge() Verdict { return Judge(b.s, b.run, b.events) }

func TestPerfect(t *testing.T) {
	for name, test := range map[string]struct {
		repaired bool
		reason   string
	}{
		"repaired": {true, "forced: every attempt of lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls behaved as expected; " +
			"native: repaired here (dnat-fixed): the fault was in effect and 0 of 4 attempts of lookup took 4.9s to 5.3s"},
		"not repaired": {false, "forced: every attempt of lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls behaved as expected; " +
			"native: every attempt of lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls behaved as expected"},
	} {
		t.Run(name, func(t *testing.T) {
			v := perfect(test.repaired).judge()
			if v.Outcome != Pass || v.Reason != test.reason {
				t.Errorf("%s: %s", v.Outcome, v.Reason)
			}
			if !v.Restored.Clean || len(v.Restored.Differences) > 0 {
				t.Errorf("%+v", v.Restored)
			}
			for _, one := range v.Variants {
				for _, phase := range one.Phases {
					for _, c := range phase.Checks {
						if !c.OK || c.Lane != "" || c.What == "" || c.Seen == "" {
							t.Errorf("%s %s: %+v", one.Name, phase.Name, c)
						}
					}
				}
			}
			for _, c := range v.Claims {
				if c.Result != c.Expected || c.Seen == "" {
					t.Errorf("%+v", c)
				}
			}
		})
	}
}

// TestVerdict looks at the numbers of a perfect run.
func TestVerdict(t *testing.T) {
	forced := perfect(true).judge().Variants[0]
	if r := forced.Reproduction; r.Hits != 16 || r.Trials != 16 || r.Low < 0.8 || r.High != 1 {
		t.Errorf("%+v", r)
	}
	var names []string
	for _, p := range forced.Phases {
		names = append(names, p.Name)
	}
	if want := "baseline fault remedy/tcp relapse/tcp remedy/reopen relapse/reopen control/timeout control/near restored"; strings.Join(names, " ") != want {
		t.Error(names)
	}
	fault := forced.Phases[1]
	yes := true
	want := map[string]Detected{
		"insert-failed": {Fired: true, Reading: 1, Text: "insert_failed rose by 16 in 16 attempts: 1 per attempt", Expected: &yes},
		"peak":          {Fired: true, Reading: 1, Text: "16 of 16 took 4.9s to 5.3s", Expected: &yes},
		"log":           {Fired: true, Reading: 4, Text: "4 lines conntrack-table-full", Expected: &yes},
	}
	if diff := cmp.Diff(want, fault.Detectors); diff != "" {
		t.Error(diff)
	}
	if s := fault.Probes["lookup"]; s != (Samples{Count: 16, Min: 5.01, P50: 5.01, P99: 5.01, Max: 5.01}) {
		t.Errorf("%+v", s)
	}
	checks := map[string]string{}
	for _, c := range fault.Checks {
		checks[c.What] = c.Seen
	}
	for what, seen := range map[string]string{
		"change hold is applied":                                             "it is",
		"wait for change/hold: armed is at least 1":                          "after 20 ms",
		"change/hold: pairs rises by at least 4":                             "rose by 16",
		"symptom: at least 100% of the attempts of lookup took 4.9s to 5.3s": "16 of 16",
		"steady: at most 0% fail":                                            "0 of 16 failed",
		"detector log fires":                                                 "4 lines conntrack-table-full",
	} {
		if checks[what] != seen {
			t.Errorf("%s: %q, want %q", what, checks[what], seen)
		}
	}
	if d := forced.Phases[7].Detectors["peak"]; d.Fired || d.Expected != nil {
		t.Errorf("control that stays healthy: %+v", d)
	}
}

// TestBlindDetectors: one that saw nothing in one of the lanes is not quiet.
func TestBlindDetectors(t *testing.T) {
	b := perfect(false)
	b.drop("forced/near", "control/near", "reading")
	b.drop("forced/tcp", "fault", "reading")
	phases := b.judge().Variants[0].Phases
	for _, p := range phases {
		got := p.Detectors["insert-failed"]
		want := p.Name == "control/near" || p.Name == "fault"
		if got.Blind != want || want && (got.Fired || !strings.HasSuffix(got.Text, "was not read")) {
			t.Errorf("%s: %+v", p.Name, got)
		}
	}
}

type crashing struct{}

func (crashing) Decide(detect.Window) detect.Result { panic("no such counter") }

// TestSightings: each phase says how much of the failure it shows.
func TestSightings(t *testing.T) {
	b := perfect(false)
	for i, e := range b.events {
		// One lookup of the near miss is slow.
		if e.Lane == "forced/near" && e.Phase == "control/near" && e.Sample != nil && e.Sample.Probe == "lookup" {
			slow := *e.Sample
			slow.Took = 5
			b.events[i].Sample = &slow
			break
		}
	}
	well, sick := Sighting{Says: Absent, State: Good, Trials: 4, P50: 0.0012}, Sighting{Says: Shown, State: Bad, Hits: 4, Trials: 4, P50: 5.01}
	all := func(one Sighting) Sighting {
		one.Hits, one.Trials = 4*one.Hits, 4*one.Trials
		return one
	}
	for _, phase := range b.judge().Variants[0].Phases {
		want := well
		switch kind, _, _ := strings.Cut(phase.Name, "/"); {
		case phase.Name == "control/near":
			want = Sighting{Says: Partly, State: Partly, Hits: 1, Trials: 4, P50: 0.0012}
		case phase.Name == "fault":
			want = all(sick)
		case phase.Name == "baseline" || phase.Name == "restored":
			want = all(well)
		case kind == "relapse" || kind == "control":
			want = sick
		}
		if phase.Symptom == nil || *phase.Symptom != want {
			t.Errorf("%s: %+v, not %+v", phase.Name, phase.Symptom, want)
		}
		if len(phase.Lanes) != want.Trials/4 {
			t.Errorf("%s: %+v", phase.Name, phase.Lanes)
		}
	}
	empty := &bench{s: b.s, run: b.run}
	if s := empty.judge().Variants[0].Phases[0].Symptom; s != nil {
		t.Errorf("of no attempt at all: %+v", s)
	}
}

// TestStates: what a picture shows goes by the bounds that the verdict goes by, lane by lane and for each kind of phase.
func TestStates(t *testing.T) {
	share := func(low, high float64) func(*bench) {
		return func(b *bench) {
			for i := range b.s.Variants {
				b.s.Variants[i].Symptom.Share = &units.PercentRange{Min: ptr(units.Percent(low)), Max: ptr(units.Percent(high))}
			}
		}
	}
	few := func(b *bench) {
		share(0.25, 0.50)(b)
		b.s.Detection = nil
		for _, phase := range []string{"fault", "relapse/*", "control/timeout"} {
			b.lookups("forced/*", phase, -1, 0.001, "")
			b.lookups("forced/*", phase, 1, 5.01, "")
		}
	}
	for name, test := range map[string]struct {
		alter   func(*bench)
		kind    string
		want    Kind
		state   string
		outcome Outcome
	}{
		"all attempts":                           {func(*bench) {}, "fault", Kind{Outcome: Pass, Lanes: 4, Unwell: 4}, Bad, Pass},
		"as few attempts as the scenario states": {few, "fault", Kind{Outcome: Pass, Lanes: 4, Unwell: 4}, Bad, Pass},
		"so after each remedy":                   {few, "relapse", Kind{Outcome: Pass, Lanes: 2, Unwell: 2}, Bad, Pass},
		"and with the remedy on there is none":   {few, "remedy", Kind{Outcome: Pass, Lanes: 2}, Good, Pass},
		"more attempts than the scenario states": {func(b *bench) {
			few(b)
			b.lookups("forced/*", "fault", 3, 5.01, "")
		}, "fault", Kind{Outcome: Fail, Lanes: 4, Unwell: 4}, Partly, Fail},
		"fewer attempts than the scenario states": {func(b *bench) { b.lookups("forced/*", "fault", 1, 0.001, "") }, "fault", Kind{Outcome: Fail, Lanes: 4, Unwell: 4}, Partly, Fail},
		"one remedy of two that does not cure":    {func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", -1, 5.01, "") }, "remedy", Kind{Outcome: Fail, Lanes: 2, Unwell: 1}, Partly, Fail},
		"another failure":                         {func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", 1, 1, "refused") }, "remedy", Kind{Outcome: Fail, Lanes: 2, Unwell: 1}, Partly, Fail},
		"another failure everywhere":              {func(b *bench) { b.lookups("forced/*", "restored", 1, 1, "refused") }, "restored", Kind{Outcome: Fail, Lanes: 4, Unwell: 4}, Bad, Fail},
		"what health allows": {func(b *bench) {
			b.s.Healthy[0].Failed = &units.PercentRange{Max: ptr(units.Percent(0.25))}
			b.lookups("forced/*", "restored", 1, 0.1, "refused")
		}, "restored", Kind{Outcome: Pass, Lanes: 4}, Good, Pass},
	} {
		t.Run(name, func(t *testing.T) {
			b := perfect(true)
			test.alter(b)
			v := b.judge().Variants[0]
			if v.Outcome != test.outcome {
				t.Error(v.Outcome, v.Reason)
			}
			at := slices.IndexFunc(v.Kinds, func(k Kind) bool { return k.Kind == test.kind })
			got := v.Kinds[at]
			state := got.Symptom.State
			got.Kind, got.Symptom = "", nil
			if got != test.want || state != test.state {
				t.Errorf("%+v %s, not %+v %s", got, state, test.want, test.state)
			}
		})
	}
}

func TestMutations(t *testing.T) {
	answered := []scenario.ProbeExpectation{{Probe: "lookup", Failed: &units.PercentRange{Max: ptr(units.Percent(0))}}}
	for name, test := range map[string]struct {
		unrepaired bool
		alter      func(*bench)
		outcome    Outcome
		reason     string
	}{
		"no symptom": {alter: func(b *bench) { b.lookups("forced/*", "fault", -1, 0.001, "") }, outcome: Fail,
			reason: "forced: the failure did not come back under the fault: 0 of 4 attempts of lookup took 4.9s to 5.3s, at least 100% expected (in forced/tcp)"},
		"one attempt does not show it": {alter: func(b *bench) { b.lookups("forced/tcp", "fault", 1, 0.001, "") }, outcome: Fail,
			reason: "forced: the failure did not come back under the fault: 3 of 4 attempts of lookup took 4.9s to 5.3s, at least 100% expected (in forced/tcp)"},
		"fewer attempts than asked for": {alter: func(b *bench) { b.run.Repeat = 5 }, outcome: Inconclusive,
			reason: "forced: only 4 of 5 attempts of lookup were made under the fault (in forced/tcp)"},
		"what goes with the symptom is missing": {alter: func(b *bench) {
			b.each("forced/near", "fault", "sample", func(e *history.Event) { e.Sample.Error = "reset" })
		}, outcome: Fail, reason: "forced: steady failed 4 of 4 under the fault: reset (in forced/near)"},
		"detector silent": {alter: func(b *bench) { b.flat("forced/near", "fault", "conntrack", "insert_failed") }, outcome: Fail,
			reason: "forced: detector insert-failed stayed silent under the fault: insert_failed rose by 0 in 4 attempts: 0 per attempt (in forced/near)"},
		"one detector could not be asked": {alter: func(b *bench) { b.s.Detection[0].Needs = []string{"nginx"} }, outcome: Pass,
			reason: "forced: every attempt of lookup"},
		"no detector could be asked": {alter: func(b *bench) {
			for i := range b.s.Detection {
				b.s.Detection[i].Needs = []string{"nginx"}
			}
		}, outcome: Inconclusive, reason: "forced: no detector could be asked: detector insert-failed needs nginx, detector peak needs nginx, detector log needs nginx"},
		"host-wide detector silent": {alter: func(b *bench) { b.drop("*", "*", "log") }, outcome: Fail,
			reason: "forced: detector log stayed silent under the fault: 0 lines conntrack-table-full"},
		"kernel gives its line to one lane only": {alter: func(b *bench) {
			n := 0
			b.events = slices.DeleteFunc(b.events, func(e history.Event) bool {
				if e.Kind != "log" || e.T > 22 {
					return false
				}
				n++
				return n > 1
			})
		}, outcome: Pass, reason: "forced: every attempt of lookup"},
		"a stranger's line": {alter: func(b *bench) {
			b.add(history.Event{T: 0.05, Kind: "log", Log: &logs.Line{Source: "kernel", Event: "conntrack-table-full", Netns: 4026531840}})
		}, outcome: Pass, reason: "forced: every attempt of lookup"},
		"host-wide detector fires before": {alter: func(b *bench) {
			b.add(history.Event{T: 0.05, Kind: "log", Log: &logs.Line{Source: "kernel", Event: "conntrack-table-full", Netns: 4026532000}})
		}, outcome: Inconclusive, reason: "forced: detector log already fired before the fault: 1 line conntrack-table-full"},
		"detector fires before": {alter: func(b *bench) {
			b.each("forced/tcp", "baseline", "reading", func(e *history.Event) {
				if e.Reading.At == "end" {
					e.Reading.Values["insert_failed"] += 4
				}
			})
		}, outcome: Inconclusive, reason: "forced: detector insert-failed already fired before the fault: insert_failed rose by 8 in 4 attempts: 2 per attempt (in forced/tcp)"},
		"no answer before": {alter: func(b *bench) { b.lookups("*", "baseline", -1, 2, "i/o timeout") }, outcome: Inconclusive,
			reason: "forced: lookup failed 4 of 4 before the fault: i/o timeout (in forced/tcp)"},
		"a sick baseline hides what follows": {alter: func(b *bench) {
			b.lookups("forced/*", "baseline", -1, 2, "i/o timeout")
			b.lookups("forced/*", "fault", -1, 0.001, "")
			b.drop("*", "*", "log")
		}, outcome: Inconclusive, reason: "forced: lookup failed 4 of 4 before the fault: i/o timeout (in forced/tcp)"},
		"fault not in effect": {alter: func(b *bench) {
			b.flat("forced/*", "fault", "change/hold", "pairs")
			b.lookups("forced/*", "fault", -1, 0.001, "")
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: pairs of change/hold rose by 0, at least 4 expected (in forced/tcp)"},
		"wait failed": {alter: func(b *bench) {
			b.each("forced/tcp", "fault", "wait", func(e *history.Event) { e.Wait.OK, e.Wait.Last, e.Wait.Took = false, "is 0", 5 })
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: timed out after 5 s waiting for change/hold: armed is at least 1, last seen: is 0 (in forced/tcp)"},
		"fault not made": {alter: func(b *bench) {
			b.each("forced/tcp", "fault", "change", func(e *history.Event) { e.Change.Error = "operation not permitted" })
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: change hold was not applied: operation not permitted (in forced/tcp)"},
		"fault made on one node only": {alter: func(b *bench) {
			b.each("forced/tcp", "fault", "change", func(e *history.Event) {
				if e.Change.On == "node/node-2" {
					e.Change.Error = "no such queue"
				}
			})
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: change hold was not applied: no such queue (in forced/tcp)"},
		"remedy without effect": {alter: func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", -1, 5.01, "") }, outcome: Fail,
			reason: "forced: remedy tcp did not cure it: 4 of 4 attempts of lookup took 4.9s to 5.3s"},
		"remedy cures three of four": {alter: func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", 1, 5.01, "") }, outcome: Fail,
			reason: "forced: remedy tcp did not cure it: 1 of 4 attempts of lookup took 4.9s to 5.3s"},
		"remedy that leaves one of four, as expected": {alter: func(b *bench) {
			b.s.Remedies[1].Leaves, b.s.Remedies[1].Healthy = 0.25, answered
			b.lookups("forced/reopen", "remedy/reopen", 1, 5.01, "")
		}, outcome: Pass, reason: "forced: every attempt of lookup"},
		"remedy that leaves more than expected": {alter: func(b *bench) {
			b.s.Remedies[1].Leaves, b.s.Remedies[1].Healthy = 0.25, answered
			b.lookups("forced/reopen", "remedy/reopen", 2, 5.01, "")
		}, outcome: Fail, reason: "forced: remedy reopen did not cure it: 2 of 4 attempts of lookup took 4.9s to 5.3s"},
		"remedy breaks something else": {alter: func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", 2, 0.002, "connection refused") }, outcome: Fail,
			reason: "forced: lookup failed 2 of 4 with remedy tcp on: connection refused"},
		"a detector that goes on firing with the remedy on, as expected": {alter: func(b *bench) {
			b.s.Remedies[0].StillFires = []string{"insert-failed"}
			b.each("forced/tcp", "remedy/tcp", "reading", func(e *history.Event) {
				if e.Reading.At == "end" {
					e.Reading.Values["insert_failed"] += 8
				}
			})
		}, outcome: Pass, reason: "forced: every attempt of lookup"},
		"a detector that should go on firing does not": {alter: func(b *bench) {
			b.s.Remedies[0].StillFires = []string{"insert-failed"}
		}, outcome: Fail, reason: "forced: detector insert-failed stayed silent with remedy tcp on: insert_failed rose by 0 in 4 attempts: 0 per attempt"},
		"detector fires with the remedy on": {alter: func(b *bench) {
			b.each("forced/tcp", "remedy/tcp", "reading", func(e *history.Event) {
				if e.Reading.At == "end" && e.Reading.Reader == "conntrack" {
					e.Reading.Values["insert_failed"] += 2
				}
			})
		}, outcome: Fail, reason: "forced: detector insert-failed still fired with remedy tcp on: insert_failed rose by 4 in 4 attempts: 1 per attempt"},
		"fault gone with the remedy on": {alter: func(b *bench) { b.flat("forced/tcp", "remedy/tcp", "change/hold", "seen") }, outcome: Inconclusive,
			reason: "forced: nothing shows that the fault was still being applied with remedy tcp on: seen of change/hold rose by 0, at least 4 expected"},
		"remedy not made": {alter: func(b *bench) { b.drop("forced/tcp", "remedy/tcp", "change") }, outcome: Inconclusive,
			reason: "forced: remedy tcp never took effect: change use-tcp was not applied"},
		"no relapse": {alter: func(b *bench) { b.lookups("forced/tcp", "relapse/tcp", -1, 0.001, "") }, outcome: Fail,
			reason: "forced: the failure did not come back after remedy tcp was withdrawn: 0 of 4 attempts of lookup took 4.9s to 5.3s, at least 100% expected"},
		"remedy not withdrawn": {alter: func(b *bench) {
			b.each("forced/tcp", "relapse/tcp", "change", func(e *history.Event) { e.Change.Error = "busy" })
		}, outcome: Fail, reason: "forced: change use-tcp on pod/client was not undone: busy"},
		"control healthy": {alter: func(b *bench) { b.lookups("forced/timeout", "control/timeout", -1, 0.001, "") }, outcome: Fail,
			reason: "forced: control timeout made the failure go away, which it should not: 0 of 4 attempts of lookup took 4.9s to 5.3s, at least 100% expected"},
		"near miss sick": {alter: func(b *bench) { b.lookups("forced/near", "control/near", 1, 5.01, "") }, outcome: Fail,
			reason: "forced: control near shows the failure, which it should not: 1 of 4 attempts of lookup took 4.9s to 5.3s"},
		"near miss without proof": {alter: func(b *bench) { b.flat("forced/near", "control/near", "change/observe", "seen") }, outcome: Inconclusive,
			reason: "forced: control near was never in effect: seen of change/observe rose by 0, at least 4 expected"},
		"near miss beside the fault": {alter: func(b *bench) {
			b.events = slices.DeleteFunc(b.events, func(e history.Event) bool {
				return e.Lane == "forced/near" && e.Kind == "change" && e.Change.ID == "hold" && e.Change.Action == "undo"
			})
		}, outcome: Fail, reason: "forced: change hold on node/node-1 was not undone: nobody tried"},
		"fingerprint differs": {alter: func(b *bench) {
			b.each("forced/tcp", "restored", "fingerprint", func(e *history.Event) { e.Fingerprint.Differences = []string{"+ table ip relapse"} })
		}, outcome: Fail, reason: "forced: not as before after the fault was undone: node/node-1: + table ip relapse (in forced/tcp)"},
		"fingerprint missing": {alter: func(b *bench) { b.drop("forced/tcp", "restored", "fingerprint") }, outcome: Inconclusive,
			reason: "forced: no fingerprint was taken after the fault was undone (in forced/tcp)"},
		"host's fingerprint differs": {alter: func(b *bench) {
			b.each("", "", "fingerprint", func(e *history.Event) { e.Fingerprint.Differences = []string{"net.ipv4.ip_forward: 0, was 1"} })
		}, outcome: Fail, reason: "the host is not as before: host: net.ipv4.ip_forward: 0, was 1"},
		"host's fingerprint missing": {alter: func(b *bench) { b.drop("", "", "fingerprint") }, outcome: Inconclusive,
			reason: "no fingerprint of the host was taken afterwards"},
		"still sick at the end": {alter: func(b *bench) { b.lookups("native/main", "restored", -1, 5.01, "i/o timeout") }, outcome: Fail,
			reason: "native: lookup failed 4 of 4 after the fault was undone: i/o timeout"},
		"undo failed": {alter: func(b *bench) {
			b.each("native/main", "restored", "change", func(e *history.Event) { e.Change.Error = "device busy" })
		}, outcome: Fail, reason: "native: change hold on node/node-1 was not undone: device busy"},
		"lane crashed": {alter: func(b *bench) {
			b.drop("forced/tcp", "re*", "*")
			b.add(history.Event{T: 30, Lane: "forced/tcp", Phase: "remedy/tcp", Kind: "error", Text: "agent pod/client: broken pipe"})
		}, outcome: Inconclusive, reason: "forced: the run broke down with remedy tcp on: agent pod/client: broken pipe"},
		"error without a phase": {alter: func(b *bench) {
			b.add(history.Event{T: 99, Lane: "forced/tcp", Kind: "error", Text: "disk full"})
		}, outcome: Inconclusive, reason: "forced: the run broke down after the fault was undone: disk full (in forced/tcp)"},
		"run crashed": {alter: func(b *bench) { b.add(history.Event{T: 30, Kind: "error", Text: "interrupted"}) }, outcome: Inconclusive,
			reason: "the run broke down: interrupted"},
		"cut off": {alter: func(b *bench) { b.events = b.events[:len(b.events)/2] }, outcome: Inconclusive, reason: "forced: "},
		"phase never ended": {alter: func(b *bench) { b.drop("forced/tcp", "fault", "phase-end") }, outcome: Inconclusive,
			reason: "forced: phase fault never ended (in forced/tcp)"},
		"empty": {alter: func(b *bench) { b.events = nil }, outcome: Inconclusive, reason: "the history is empty"},
		"claim refuted that should hold": {alter: func(b *bench) {
			b.s.Claims[0].Check.Readings[0].RisePerAttempt = atLeast(3)
		}, outcome: Fail, reason: "claim counts was expected to hold here and is refuted: 16 of 16 attempts of lookup took 4.9s to 5.3s; detector log fired: 4 lines conntrack-table-full; insert_failed rose by 16 in 16 attempts: 1 per attempt"},
		"claim holds that should be refuted": {alter: func(b *bench) { b.s.Claims[3].Expected[0].Result = Refuted }, outcome: Fail,
			reason: "claim tcp-is-fast was expected to be refuted here and holds: 0 of 4"},
		"claim on something that was not run": {alter: func(b *bench) { b.s.Claims[2].Check.Phase = "remedy/tcp" }, outcome: Pass, reason: "forced: every attempt of lookup"},
		"claim on a detector that was not read": {alter: func(b *bench) {
			b.events = slices.DeleteFunc(b.events, func(e history.Event) bool {
				return e.Phase == "control/near" && e.Kind == "reading" && e.Reading.Reader == "conntrack"
			})
			b.s.Claims[0].Check = scenario.ClaimCheck{Variant: "forced", Phase: "control/near", Detector: "insert-failed"}
		}, outcome: Inconclusive, reason: "claim counts was not tested: detector insert-failed stayed silent: conntrack was not read"},
		"repaired kernel does not cope": {alter: func(b *bench) { b.lookups("native/main", "fault", 1, 5.01, "") }, outcome: Fail,
			reason: "native: the failure came back, though dnat-fixed is offered: 1 of 4 attempts of lookup took 4.9s to 5.3s"},
		"repaired kernel, otherwise sick": {alter: func(b *bench) { b.lookups("native/main", "fault", -1, 2, "refused") }, outcome: Fail,
			reason: "native: lookup failed 4 of 4 under the fault: refused"},
		"repaired kernel, fault without proof": {alter: func(b *bench) { b.flat("native/main", "fault", "change/hold", "pairs") }, outcome: Inconclusive,
			reason: "native: the fault was never in effect: pairs of change/hold rose by 0, at least 4 expected"},
		"repaired kernel, detector fires": {alter: func(b *bench) {
			b.each("native/main", "fault", "reading", func(e *history.Event) {
				if e.Reading.At == "end" && e.Reading.On == "node/node-1" && e.Reading.Reader == "conntrack" {
					e.Reading.Values["insert_failed"] += 4
				}
			})
		}, outcome: Fail, reason: "native: detector insert-failed fired under the fault: insert_failed rose by 4 in 4 attempts: 1 per attempt"},
		"not repaired, but copes": {unrepaired: true, alter: func(b *bench) { b.lookups("native/*", "fault", -1, 0.001, "") }, outcome: Fail,
			reason: "native: the failure did not come back under the fault: 0 of 4"},
		"symptom before the fault": {alter: func(b *bench) {
			b.s.Healthy = nil
			b.lookups("forced/tcp", "baseline", 1, 5.01, "")
		}, outcome: Inconclusive, reason: "forced: the symptom is there before the fault, so it shows nothing: 1 of 4 attempts of lookup took 4.9s to 5.3s"},
		"proof that held before the fault": {alter: func(b *bench) {
			b.s.Variants[0].Fault.Proof = []scenario.ReadingExpectation{{Reader: "conntrack", On: "nodes", Key: "insert_failed", Value: atLeast(0)}}
		}, outcome: Inconclusive, reason: "forced: conntrack on nodes: insert_failed is at least 0 proves nothing under the fault: before the fault it is 0"},
		"detector that rises with time": {alter: func(b *bench) {
			b.s.Detection[0].Use.Config = &detect.Counter{ReadingExpectation: scenario.ReadingExpectation{Reader: "conntrack", On: "nodes", Key: "insert_failed", Rise: atLeast(4)}}
			b.each("forced/tcp", "baseline", "reading", func(e *history.Event) {
				if e.Reading.At == "end" && e.Reading.On == "node/node-1" {
					e.Reading.Values["insert_failed"]++
				}
			})
		}, outcome: Inconclusive, reason: "forced: conntrack on nodes: insert_failed rises by at least 4 proves nothing under the fault: before the fault it rose by 1 in a time that is"},
		"control that says nothing": {alter: func(b *bench) {
			b.events = slices.DeleteFunc(b.events, func(e history.Event) bool { return e.Reading != nil && e.Reading.Reader == "change/longer-timeout" })
		}, outcome: Inconclusive, reason: "forced: control timeout was never in effect: nothing says that change longer-timeout changed something"},
		"control that changes nothing": {alter: func(b *bench) {
			b.each("forced/timeout", "control/timeout", "reading", func(e *history.Event) {
				if e.Reading.Reader == "change/longer-timeout" {
					e.Reading.Values = map[string]float64{units.Applied: 0}
				}
			})
		}, outcome: Inconclusive, reason: "forced: control timeout was never in effect: nothing says that change longer-timeout changed something"},
		"claim on what nobody read": {alter: func(b *bench) {
			b.s.Claims[0].Check.Readings[0].Reader = "snmp"
		}, outcome: Inconclusive, reason: "claim counts was not tested: "},
		"claim on a counter that this kernel lacks": {alter: func(b *bench) {
			b.s.Claims[0].Check.Readings[0].Key = "clash_resolve"
		}, outcome: Pass, reason: "forced: every attempt of lookup"},
		"the fault missed one of four attempts": {alter: func(b *bench) { b.meet(3, 4) }, outcome: Inconclusive,
			reason: "forced: the fault met only 3 of the 4 attempts of lookup under the fault: 4 needed"},
		"the fault missed all attempts": {alter: func(b *bench) { b.meet(0, 4) }, outcome: Inconclusive,
			reason: "forced: the fault was never in effect: it met none of the 4 attempts of lookup under the fault"},
		"the fault missed two of six attempts": {alter: func(b *bench) { b.meet(4, 6) }, outcome: Pass,
			reason: "forced: every attempt of lookup took 5.01 s under the fault (16 of 16)"},
		"a missed attempt shows the symptom where it must be absent": {alter: func(b *bench) {
			b.meet(3, 4)
			b.lookups("native/main", "fault", -1, 5.01, "")
			b.s.Variants[0].RepairedBy = ""
		}, outcome: Inconclusive, reason: "forced: the fault met only 3"},
		"skipped variant": {alter: func(b *bench) {
			b.run.Skipped = map[string]string{"native": "needs nfqueue"}
			b.drop("native/*", "*", "*")
		}, outcome: Pass, reason: "forced: every attempt of lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls behaved as expected; native: skipped: needs nfqueue"},
		"all skipped": {alter: func(b *bench) {
			b.run.Skipped = map[string]string{"native": "needs nfqueue", "forced": "needs root"}
			b.events = nil
		}, outcome: Skipped, reason: "forced: needs root; native: needs nfqueue"},
		"variant neither run nor skipped": {alter: func(b *bench) { b.drop("native/*", "*", "*") }, outcome: Inconclusive,
			reason: "native: phase baseline was never reached"},
		"fail is worse than inconclusive": {alter: func(b *bench) {
			b.lookups("forced/*", "baseline", -1, 2, "i/o timeout")
			b.lookups("native/main", "fault", 1, 5.01, "")
		}, outcome: Fail, reason: "native: the failure came back"},
		"judge crashes": {alter: func(b *bench) { b.s.Detection[0].Use.Config = crashing{} }, outcome: Inconclusive, reason: "the judge crashed: no such counter"},
		"no scenario":   {alter: func(b *bench) { b.s = nil }, outcome: Inconclusive, reason: "the judge crashed: "},
		"unknown detector": {alter: func(b *bench) { b.s.Detection[0].Use = scenario.Use{Name: "sniffer"} }, outcome: Inconclusive,
			reason: `forced: detector insert-failed had nothing to see before the fault: "sniffer" is not in the catalogue of detectors (in forced/tcp)`},
	} {
		t.Run(name, func(t *testing.T) {
			b := perfect(!test.unrepaired)
			test.alter(b)
			v := b.judge()
			if v.Outcome != test.outcome || !strings.HasPrefix(v.Reason, test.reason) {
				t.Errorf("%s: %s\nwant %s: %s", v.Outcome, v.Reason, test.outcome, test.reason)
			}
			if v.Outcome != Pass && v.Outcome != Skipped && v.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}

// TestUntestedClaim: what was not run or not read neither holds nor is refuted.
func TestUntestedClaim(t *testing.T) {
	b := perfect(true)
	b.run.Skipped = map[string]string{"native": "needs nfqueue"}
	b.s.Claims[0].Check.Readings[0].Key = "unheard"
	b.lookups("forced/tcp", "remedy/tcp", 1, 0.001, "")
	b.drop("forced/tcp", "remedy/tcp", "phase-end")
	want := []string{
		"untested: 16 of 16 attempts of lookup took 4.9s to 5.3s; detector log fired: 4 lines conntrack-table-full; unheard unheard of conntrack was not read on node/node-1 at begin and end",
		"refuted: 4 of 4 attempts of lookup took 4.9s to 5.3s",
		"untested: variant native was not run: needs nfqueue",
		"untested: phase remedy/tcp is inconclusive: phase remedy/tcp never ended",
	}
	for i, c := range b.judge().Claims {
		if got := c.Result + ": " + c.Seen; got != want[i] {
			t.Errorf("%s: %s\nwant %s", c.ID, got, want[i])
		}
	}
}

// TestNothingPassesUnseen takes every kind of event out of a perfect history, everywhere and lane by lane and phase by phase.
func TestNothingPassesUnseen(t *testing.T) {
	kinds := map[string]bool{}
	whole := perfect(true)
	type part struct{ lane, phase, kind string }
	parts := map[part]bool{}
	for _, e := range whole.events {
		if e.Kind == history.KindLog || e.Kind == history.KindNote || e.Kind == history.KindEvidence {
			continue
		}
		kinds[e.Kind] = true
		parts[part{"*", "*", e.Kind}] = true
		parts[part{e.Lane, "*", e.Kind}] = true
		parts[part{e.Lane, e.Phase, e.Kind}] = true
	}
	if len(kinds) != 7 {
		t.Errorf("the perfect history holds %v", kinds)
	}
	for p := range parts {
		b := perfect(true)
		b.drop(p.lane, p.phase, p.kind)
		if v := b.judge(); v.Outcome == Pass || v.Outcome == Skipped || v.Reason == "" {
			t.Errorf("without %v: %s: %s", p, v.Outcome, v.Reason)
		}
	}
	for i, e := range whole.events {
		if e.Kind == history.KindLog || e.Kind == history.KindSample && e.Sample.Probe == "steady" || e.Kind == history.KindReading && e.Reading.Reader != "conntrack" {
			continue
		}
		b := perfect(true)
		b.events = slices.Delete(b.events, i, i+1)
		if v := b.judge(); v.Outcome == Pass && needed(e) {
			t.Errorf("without event %d %+v: pass", i, e)
		}
	}
}

// needed leaves out single events that others of their kind stand in for: health is judged on the attempts that were made,
// and a change on one node is a change.
func needed(e history.Event) bool {
	if e.Kind == history.KindReading && e.Phase == "control/near" {
		return false // in a near miss detectors are only shown
	}
	if e.Kind == history.KindSample {
		return e.Phase != "baseline" && e.Phase != "restored"
	}
	return e.Kind != history.KindChange || e.Change.Action == "undo" || e.Change.On == "pod/client"
}

// TestInterleaving: how the events of lanes that run side by side lie between each other changes nothing.
func TestInterleaving(t *testing.T) {
	b := perfect(false)
	want := b.judge()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b.events = shuffle(b.events, random)
		if diff := cmp.Diff(want, b.judge()); diff != "" {
			t.Fatal(diff)
		}
	}
}

// shuffle deals events anew, those of one lane in their order.
func shuffle(events []history.Event, random *rand.Rand) []history.Event {
	lanes := map[string][]history.Event{}
	var order []string
	for _, e := range events {
		lanes[e.Lane] = append(lanes[e.Lane], e)
		order = append(order, e.Lane)
	}
	random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	var all []history.Event
	for _, lane := range order {
		all = append(all, lanes[lane][0])
		lanes[lane] = lanes[lane][1:]
	}
	return all
}

// TestWritten: a verdict is the same each time, and holds no null where a list belongs.
func TestWritten(t *testing.T) {
	for name, b := range map[string]*bench{"perfect": perfect(true), "empty": {s: small()}, "nil": {}} {
		text, err := json.Marshal(b.judge())
		if err != nil {
			t.Fatal(err)
		}
		again, _ := json.Marshal(b.judge())
		if string(text) != string(again) || strings.Contains(string(text), "null") {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// TestNamelessLines: kernels up to 6.12 do not say whose a line is. It is not held against a lane while another was under
// the fault.
func TestNamelessLines(t *testing.T) {
	b := perfect(true)
	b.each("", "", "log", func(e *history.Event) { e.Log.Netns = 0 })
	if v := b.judge(); v.Outcome != Pass {
		t.Error(v.Outcome, v.Reason)
	}
	b.add(history.Event{T: 0.05, Kind: "log", Log: &logs.Line{Source: "kernel", Event: "conntrack-table-full"}})
	if v := b.judge(); v.Outcome != Inconclusive {
		t.Error(v.Outcome, v.Reason)
	}
}
