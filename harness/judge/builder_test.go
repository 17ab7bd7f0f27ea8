package judge

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/logs"
	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// bench is a run to be judged: a scenario with everything in it, and the history of a run in which all went as it should.
type bench struct {
	s      *scenario.Scenario
	run    rundir.Run
	events []history.Event
}

func ptr[T any](v T) *T { return &v }

func atLeast(v float64) *units.NumberRange { return &units.NumberRange{Min: &v} }

func took(low, high time.Duration) *units.DurationRange {
	a, b := units.Duration(low), units.Duration(high)
	return &units.DurationRange{Min: &a, Max: &b}
}

func step(id, on string) scenario.Step {
	return scenario.Step{ID: id, On: on, Use: scenario.Use{Name: id}}
}

func hold(key string, bound *units.NumberRange) scenario.ReadingExpectation {
	return scenario.ReadingExpectation{Reader: "change/hold", Key: key, Rise: bound}
}

// small is a scenario of two variants, of which the native one is repaired on some kernels, two remedies and two controls.
func small() *scenario.Scenario {
	none := units.PercentRange{Max: ptr(units.Percent(0))}
	quick := scenario.ProbeExpectation{Probe: "lookup", Failed: &none, Slowest: took(0, 500*time.Millisecond)}
	fault := scenario.Fault{
		Changes:      []scenario.Step{step("hold", "nodes")},
		Effective:    []scenario.ReadingExpectation{{Reader: "change/hold", Key: "armed", Value: atLeast(1)}},
		Proof:        []scenario.ReadingExpectation{hold("pairs", atLeast(4))},
		StillApplied: []scenario.ReadingExpectation{hold("seen", atLeast(4))},
	}
	symptom := scenario.Symptom{
		Probe:   "lookup",
		Attempt: scenario.AttemptCriterion{Took: took(4900*time.Millisecond, 5300*time.Millisecond)},
		Share:   &units.PercentRange{Min: ptr(units.Percent(1))},
		Also:    []scenario.ProbeExpectation{{Probe: "steady", Failed: &none}},
	}
	failed := scenario.ReadingExpectation{Reader: "conntrack", On: "nodes", Key: "insert_failed", RisePerAttempt: atLeast(1)}
	return &scenario.Scenario{
		Metadata: scenario.Metadata{ID: "small"},
		Probes:   []scenario.Probe{{ID: "lookup", From: "pod/client", Attempts: 4}, {ID: "steady", From: "pod/client", Attempts: 4, Background: true}},
		Healthy:  []scenario.ProbeExpectation{quick},
		Variants: []scenario.Variant{
			{ID: "forced", Fault: fault, Symptom: symptom},
			{ID: "native", RepairedBy: "dnat-fixed", Fault: fault, Symptom: symptom},
		},
		Detection: []scenario.Detector{
			{ID: "insert-failed", Use: scenario.Use{Name: "counter", Config: &detect.Counter{ReadingExpectation: failed}}},
			{ID: "peak", Use: scenario.Use{Name: "latency", Config: &detect.Latency{
				Probe: "lookup", Took: *took(4900*time.Millisecond, 5300*time.Millisecond), Share: units.PercentRange{Min: ptr(units.Percent(0.5))},
			}}},
			{ID: "log", Variants: []string{"forced"}, Use: scenario.Use{Name: "kernel-log", Config: &detect.KernelLog{Event: "conntrack-table-full"}}},
		},
		Remedies: []scenario.Remedy{
			{ID: "tcp", Changes: []scenario.Step{step("use-tcp", "pod/client")}, Effective: []scenario.ReadingExpectation{{Reader: "change/use-tcp", Key: "set", Value: atLeast(1)}}},
			{ID: "reopen", Changes: []scenario.Step{step("single-request", "pod/client")}, Healthy: []scenario.ProbeExpectation{quick}, Relapse: []scenario.ReadingExpectation{hold("pairs", atLeast(0))}},
		},
		Controls: []scenario.Control{
			{ID: "timeout", With: []scenario.Step{step("longer-timeout", "pod/client")}, Expect: "symptom"},
			{ID: "near", Instead: []scenario.Step{step("observe", "nodes")}, Expect: "healthy", Proof: []scenario.ReadingExpectation{{Reader: "change/observe", Key: "seen", Rise: atLeast(4)}}},
		},
		Claims: []scenario.Claim{
			{ID: "counts", Expected: []scenario.ClaimCase{{Result: Holds}}, Check: scenario.ClaimCheck{Variant: "forced", Phase: "fault", Symptom: ptr(true), Detector: "log", Readings: []scenario.ReadingExpectation{failed}}},
			{ID: "timeout-cures", Expected: []scenario.ClaimCase{{Result: Refuted}}, Check: scenario.ClaimCheck{Variant: "forced", Phase: "control/timeout", Symptom: ptr(false)}},
			{ID: "native", Expected: []scenario.ClaimCase{{Offers: "dnat-fixed", Result: Refuted}, {Result: Holds}}, Check: scenario.ClaimCheck{Variant: "native", Phase: "fault", Symptom: ptr(true)}},
			{ID: "tcp-is-fast", Expected: []scenario.ClaimCase{{Result: Holds}}, Check: scenario.ClaimCheck{Variant: "forced", Phase: "remedy/tcp", Symptom: ptr(false), Probes: []scenario.ProbeExpectation{quick}}},
		},
	}
}

// perfect is a run of the small scenario on a kernel that repairs the native variant, or not.
func perfect(repaired bool) *bench {
	b := &bench{s: small(), run: rundir.Run{
		Scenario: "small", Cluster: "lab", Proxy: "nftables", Offers: map[string]offers.Offer{"dnat-fixed": {OK: repaired}}, Netns: map[string]uint64{},
	}}
	inode := uint64(4026532000)
	for i := range b.s.Variants {
		v := &b.s.Variants[i]
		for _, branch := range plan.Lanes(b.s, v, plan.Repaired(v, offeredBy(b.run))) {
			w := &writer{bench: b, lane: branch.Name, v: v, counts: map[string]float64{}, netns: inode, repaired: plan.Repaired(v, offeredBy(b.run))}
			b.run.Netns[w.lane+" node/node-1"], b.run.Netns[w.lane+" node/node-2"], b.run.Netns[w.lane+" pod/client"] = inode, inode+1, inode+2
			inode += 3
			w.write(branch)
		}
	}
	// Lanes run side by side.
	slices.SortStableFunc(b.events, func(x, y history.Event) int { return cmp.Compare(x.T, y.T) })
	b.add(history.Event{T: 1000, Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: "host"}})
	return b
}

func (b *bench) add(e history.Event) { b.events = append(b.events, e) }

// writer writes a lane's history as the engine does.
type writer struct {
	*bench
	lane, phase string
	v           *scenario.Variant
	t           float64
	counts      map[string]float64
	netns       uint64
	repaired    bool
}

func (w *writer) event(e history.Event) {
	w.t += 0.01
	e.T, e.Lane, e.Phase = w.t, w.lane, w.phase
	w.add(e)
}

func (w *writer) change(action string, steps ...scenario.Step) {
	for _, s := range steps {
		for _, on := range places(s.On) {
			w.event(history.Event{Kind: history.KindChange, Change: &history.Change{ID: s.ID, Name: s.Use.Name, On: on, Action: action}})
		}
	}
}

func places(selector string) []string {
	if selector == "nodes" {
		return []string{"node/node-1", "node/node-2"}
	}
	return []string{selector}
}

func (w *writer) wait(list []scenario.ReadingExpectation) {
	for _, exp := range list {
		w.event(history.Event{Kind: history.KindWait, Wait: &history.Wait{For: detect.WaitFor(exp), Last: "is 1", Took: 0.02, OK: true}})
	}
}

// sample makes the attempts of a phase; on are the steps whose own numbers rise.
func (w *writer) sample(sick bool, on ...scenario.Step) {
	read := func(at string) {
		for i, place := range places("nodes") {
			w.event(history.Event{Kind: history.KindReading, Reading: &history.Reading{
				Reader: "conntrack", On: place, For: []string{"nodes"}, At: at, Values: map[string]float64{"insert_failed": w.counts["failed"] * float64(1-i)},
			}})
			for _, step := range on {
				w.event(history.Event{Kind: history.KindReading, Reading: &history.Reading{
					Reader: "change/" + step.ID, On: place, For: []string{"nodes"}, At: at, Values: map[string]float64{"pairs": w.counts["pairs"] * float64(1-i), "seen": w.counts["seen"] * float64(1-i), "armed": 1},
				}})
			}
		}
	}
	read("begin")
	for range 4 {
		took := 0.0012
		if sick {
			took = 5.01
		}
		start := w.t
		w.t += took
		w.event(history.Event{Kind: history.KindSample, Sample: &history.Sample{Probe: "lookup", Start: start, Took: took}})
		w.event(history.Event{Kind: history.KindSample, Sample: &history.Sample{Probe: "steady", Start: start, Took: 0.001}})
		w.counts["seen"]++
		w.counts["pairs"]++
		if sick {
			w.counts["failed"]++
		}
	}
	if sick && w.v.ID == "forced" {
		w.add(history.Event{T: w.t, Kind: history.KindLog, Log: &logs.Line{Source: "kernel", On: "host", Event: "conntrack-table-full", Netns: w.netns}})
	}
	read("end")
}

func (w *writer) in(phase string, do func()) {
	w.phase = phase
	w.event(history.Event{Kind: history.PhaseBegin})
	do()
	w.event(history.Event{Kind: history.PhaseEnd})
	w.phase = ""
}

func (w *writer) write(b plan.Lane) {
	fault := w.v.Fault
	w.in("baseline", func() { w.sample(false) })
	w.in("fault", func() {
		w.change("apply", fault.Changes...)
		w.wait(fault.Effective)
		w.sample(!w.repaired, fault.Changes...)
	})
	left := fault.Changes
	switch {
	case b.Remedy != nil:
		w.in("remedy/"+b.Branch, func() {
			w.change("apply", b.Remedy.Changes...)
			w.wait(b.Remedy.Effective)
			w.sample(false, slices.Concat(fault.Changes, b.Remedy.Changes)...)
		})
		w.in("relapse/"+b.Branch, func() {
			w.change("undo", b.Remedy.Changes...)
			w.wait(slices.Concat(fault.Effective, b.Remedy.Relapse))
			w.sample(true, fault.Changes...)
		})
	case b.Control != nil && len(b.Control.Instead) > 0:
		w.in("control/"+b.Branch, func() {
			w.change("undo", fault.Changes...)
			w.change("apply", b.Control.Instead...)
			w.sample(b.Control.Expect == "symptom", b.Control.Instead...)
		})
		left = b.Control.Instead
	case b.Control != nil:
		w.in("control/"+b.Branch, func() {
			w.change("apply", b.Control.With...)
			w.wait(fault.Effective)
			w.sample(true, slices.Concat(fault.Changes, b.Control.With)...)
		})
		left = append(slices.Clone(left), b.Control.With...)
	}
	w.in("restored", func() {
		w.change("undo", left...)
		w.sample(false)
		w.event(history.Event{Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: "node/node-1"}})
	})
}

// each alters the events of a lane and phase; "*" at the end of a name stands for anything.
func (b *bench) each(lane, phase, kind string, alter func(*history.Event)) {
	for i := range b.events {
		e := &b.events[i]
		if like(lane, e.Lane) && like(phase, e.Phase) && like(kind, e.Kind) {
			alter(e)
		}
	}
}

// drop takes such events out.
func (b *bench) drop(lane, phase, kind string) {
	b.events = slices.DeleteFunc(b.events, func(e history.Event) bool {
		return like(lane, e.Lane) && like(phase, e.Phase) && like(kind, e.Kind)
	})
}

func like(pattern, text string) bool {
	start, prefix := strings.CutSuffix(pattern, "*")
	return pattern == text || prefix && strings.HasPrefix(text, start)
}

// lookups sets how long lookups took, and their error, from the first on: n of them, or all where n is negative.
func (b *bench) lookups(lane, phase string, n int, took float64, problem string) {
	seen := map[string]int{}
	b.each(lane, phase, history.KindSample, func(e *history.Event) {
		if e.Sample.Probe != "lookup" || n >= 0 && seen[e.Lane+e.Phase] >= n {
			return
		}
		seen[e.Lane+e.Phase]++
		e.Sample.Took, e.Sample.Error = took, problem
	})
}

// flat makes a number stand still: at the end of a phase it is what it was at the begin.
func (b *bench) flat(lane, phase, reader, key string) {
	begin := map[string]float64{}
	b.each(lane, phase, history.KindReading, func(e *history.Event) {
		r := e.Reading
		if r.Reader != reader {
			return
		}
		at := e.Lane + e.Phase + r.On
		if r.At == "begin" {
			begin[at] = r.Values[key]
		} else {
			r.Values[key] = begin[at]
		}
	})
}

// meet makes the hold tell which attempts it met, in every phase in which it is on: the first met of made ones.
func (b *bench) meet(met, made int) {
	per := atLeast(0.1)
	for i := range b.s.Variants {
		b.s.Variants[i].Fault.Proof = []scenario.ReadingExpectation{{Reader: "change/hold", Key: "pairs", RisePerAttempt: per}}
	}
	attempts := map[string][]history.Event{}
	for _, e := range b.events {
		if e.Sample != nil && e.Sample.Probe == "lookup" && e.Phase != "baseline" && e.Phase != "restored" {
			attempts[e.Lane+" "+e.Phase] = append(attempts[e.Lane+" "+e.Phase], e)
		}
	}
	for _, own := range attempts {
		last := own[len(own)-1]
		for i := len(own); i < made; i++ {
			more := last
			sample := *last.Sample
			sample.Start, sample.Took = last.T+float64(i), 0.001
			more.T, more.Sample = sample.Start+0.001, &sample
			own = append(own, more)
			b.add(more)
		}
		told := history.Event{T: last.T, Lane: last.Lane, Phase: last.Phase, Kind: history.KindMet, Met: &history.Met{ID: "hold", On: "node/node-1"}}
		for _, e := range own[:met] {
			told.Met.Flows = append(told.Met.Flows, history.Meeting{T: e.Sample.Start})
		}
		b.add(told)
	}
}
