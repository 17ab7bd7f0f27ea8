package judge

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

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
		"repaired": {true, "forced: every lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls did as expected; " +
			"native: repaired here (dnat-fixed): the fault was in effect and 0 of 4 attempts of lookup took 4.9s to 5.3s"},
		"not repaired": {false, "forced: every lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls did as expected; " +
			"native: every lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls did as expected"},
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
		"change hold is on":                                                  "it is",
		"wait for change/hold: armed is at least 1":                          "came after 20 ms",
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
	for _, phase := range b.judge().Variants[0].Phases {
		want := Sighting{Absent, 0, 4}
		switch kind, _, _ := strings.Cut(phase.Name, "/"); {
		case phase.Name == "control/near":
			want = Sighting{Partly, 1, 4}
		case phase.Name == "fault":
			want = Sighting{Shown, 16, 16}
		case phase.Name == "baseline" || phase.Name == "restored":
			want.Trials = 16
		case kind == "relapse" || kind == "control":
			want = Sighting{Shown, 4, 4}
		}
		if phase.Symptom == nil || *phase.Symptom != want {
			t.Errorf("%s: %+v, not %+v", phase.Name, phase.Symptom, want)
		}
	}
	empty := &bench{s: b.s, run: b.run}
	if s := empty.judge().Variants[0].Phases[0].Symptom; s != nil {
		t.Errorf("of no attempt at all: %+v", s)
	}
}

func TestMutations(t *testing.T) {
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
		}, outcome: Pass, reason: "forced: every lookup"},
		"a stranger's line": {alter: func(b *bench) {
			b.add(history.Event{T: 0.05, Kind: "log", Log: &history.Log{Source: "kernel", Event: "conntrack-table-full", Netns: 4026531840}})
		}, outcome: Pass, reason: "forced: every lookup"},
		"host-wide detector fires before": {alter: func(b *bench) {
			b.add(history.Event{T: 0.05, Kind: "log", Log: &history.Log{Source: "kernel", Event: "conntrack-table-full", Netns: 4026532000}})
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
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: change/hold: armed is at least 1 did not come in 5.00 s, last seen: is 0 (in forced/tcp)"},
		"fault not made": {alter: func(b *bench) {
			b.each("forced/tcp", "fault", "change", func(e *history.Event) { e.Change.Error = "operation not permitted" })
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: change hold was not on: operation not permitted (in forced/tcp)"},
		"fault made on one node only": {alter: func(b *bench) {
			b.each("forced/tcp", "fault", "change", func(e *history.Event) {
				if e.Change.On == "node/node-2" {
					e.Change.Error = "no such queue"
				}
			})
		}, outcome: Inconclusive, reason: "forced: the fault was never in effect: change hold was not on: no such queue (in forced/tcp)"},
		"remedy without effect": {alter: func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", -1, 5.01, "") }, outcome: Fail,
			reason: "forced: remedy tcp did not cure it: 4 of 4 attempts of lookup took 4.9s to 5.3s"},
		"remedy cures three of four": {alter: func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", 1, 5.01, "") }, outcome: Fail,
			reason: "forced: remedy tcp did not cure it: 1 of 4 attempts of lookup took 4.9s to 5.3s"},
		"remedy breaks something else": {alter: func(b *bench) { b.lookups("forced/tcp", "remedy/tcp", 2, 0.002, "connection refused") }, outcome: Fail,
			reason: "forced: lookup failed 2 of 4 with remedy tcp on: connection refused"},
		"a detector that goes on firing with the remedy on, as expected": {alter: func(b *bench) {
			b.s.Remedies[0].StillFires = []string{"insert-failed"}
			b.each("forced/tcp", "remedy/tcp", "reading", func(e *history.Event) {
				if e.Reading.At == "end" {
					e.Reading.Values["insert_failed"] += 8
				}
			})
		}, outcome: Pass, reason: "forced: every lookup"},
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
			reason: "forced: remedy tcp never took effect: change use-tcp was not on"},
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
		"claim on something that was not run": {alter: func(b *bench) { b.s.Claims[2].Check.Phase = "remedy/tcp" }, outcome: Pass, reason: "forced: every lookup"},
		"claim on a detector that was not read": {alter: func(b *bench) {
			b.events = slices.DeleteFunc(b.events, func(e history.Event) bool {
				return e.Phase == "control/near" && e.Kind == "reading" && e.Reading.Reader == "conntrack"
			})
			b.s.Claims[0].Check = scenario.ClaimCheck{Variant: "forced", Phase: "control/near", Detector: "insert-failed"}
		}, outcome: Pass, reason: "forced: every lookup"},
		"claim on something that was not read": {alter: func(b *bench) { b.s.Claims[0].Check.Readings[0].Key = "unheard" }, outcome: Pass, reason: "forced: every lookup"},
		"repaired kernel does not cope": {alter: func(b *bench) { b.lookups("native/main", "fault", 1, 5.01, "") }, outcome: Fail,
			reason: "native: the failure came back, though dnat-fixed is offered: 1 of 4 attempts of lookup took 4.9s to 5.3s"},
		"repaired kernel, otherwise sick": {alter: func(b *bench) { b.lookups("native/main", "fault", -1, 2, "refused") }, outcome: Fail,
			reason: "native: lookup failed 4 of 4 under the fault: refused"},
		"repaired kernel, fault without proof": {alter: func(b *bench) { b.flat("native/main", "fault", "change/hold", "pairs") }, outcome: Fail,
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
		"skipped variant": {alter: func(b *bench) {
			b.run.Skipped = map[string]string{"native": "needs nfqueue"}
			b.drop("native/*", "*", "*")
		}, outcome: Pass, reason: "forced: every lookup took 5.01 s under the fault (16 of 16), both remedies cured it and withdrawing each brought it back, both controls did as expected; native: skipped: needs nfqueue"},
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
	b.add(history.Event{T: 0.05, Kind: "log", Log: &history.Log{Source: "kernel", Event: "conntrack-table-full"}})
	if v := b.judge(); v.Outcome != Inconclusive {
		t.Error(v.Outcome, v.Reason)
	}
}
