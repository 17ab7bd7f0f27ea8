package reports

import (
	"fmt"
	"testing"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func dnsScenario() *scenario.Scenario {
	symptom := scenario.Symptom{Probe: "lookup", Attempt: scenario.AttemptCriterion{Took: &units.DurationRange{Min: seconds(4.9)}}}
	return &scenario.Scenario{
		Metadata: scenario.Metadata{
			ID: "dns-5s", Title: "DNS lookups take five seconds", Layer: "dns",
			Summary: "The C library asks for A and AAAA from one socket at the same moment. Both packets pass the node before either is in the connection table. " +
				"When the second one is confirmed, its translated reply already belongs to another entry, and the kernel drops it. " +
				"Nothing is logged. The resolver waits five seconds and asks again.",
			Sources: []scenario.Source{
				{ID: "racy", Title: "Racy conntrack and DNS lookup timeouts", Section: "Root cause", URL: "https://www.weave.works/blog/racy-conntrack-and-dns-lookup-timeouts"},
				{ID: "k8s-56903", Title: "kubernetes/kubernetes#56903", URL: "https://github.com/kubernetes/kubernetes/issues/56903"},
				{ID: "resolv", Title: "resolv.conf(5)", URL: "javascript:alert(1)"},
			},
		},
		Variants: []scenario.Variant{
			{ID: "native", Mechanism: "native", Why: "Both packets are held after DNAT and released together; the kernel does the rest.", RepairedBy: "conntrack-clash-resolution", Symptom: symptom},
			{ID: "forced", Mechanism: "forced", Why: "Kernels since 5.6 repair this clash. Just before the release an entry is made whose reply is that of the second packet, so that the kernel's own drop cannot be avoided.", Symptom: symptom,
				Fault: scenario.Fault{Proof: []scenario.ReadingExpectation{{Reader: "change/hold", Key: "pairs"}}}},
		},
		Detection: []scenario.Detector{
			{ID: "insert-failed", Title: "insert_failed rises on the node", Source: "racy", Command: "conntrack -S", Use: looks("insert_failed")},
			{ID: "drop", Title: "drop rises beside it", Source: "racy", Command: "cat /proc/net/stat/nf_conntrack", Use: looks("drop")},
			{ID: "five-seconds", Title: "A lookup takes five seconds and a little", Source: "k8s-56903", Command: "time getent ahosts kubernetes.default"},
			{ID: "invalid", Title: "invalid rises", Source: "k8s-56903", Command: "conntrack -S", Expect: scenario.ExpectSilent, Use: looks("invalid")},
		},
		Remedies: []scenario.Remedy{
			{ID: "single-request-reopen", Title: "A new socket for each question", Source: "resolv", Caveat: "glibc only; musl ignores it.", Variants: []string{"forced"}},
			{ID: "nodelocal-dnscache", Title: "NodeLocal DNSCache", Source: "k8s-56903", Caveat: "One more program on every node.", Variants: []string{"forced"}},
			{ID: "use-vc", Title: "DNS over TCP", Source: "resolv", Variants: []string{"forced"}},
		},
		Controls: []scenario.Control{{ID: "random-fully", Title: "MASQUERADE --random-fully", Source: "racy", Variants: []string{"forced"}, Expect: "symptom"}},
		Claims: []scenario.Claim{
			{ID: "insert-failed-rises", Check: scenario.ClaimCheck{Variant: "forced", Phase: "fault"}},
			{ID: "random-fully-cures", Check: scenario.ClaimCheck{Variant: "forced", Phase: "control/random-fully"}, Note: "It spreads source ports and so helps against the SNAT race. Here the destination is rewritten, and ports play no part."},
			{ID: "still-broken", Check: scenario.ClaimCheck{Variant: "native", Phase: "fault"}, Note: "Clashing entries are merged since Linux 5.6: clash_resolve rises instead."},
			{ID: "ipvs-too", Check: scenario.ClaimCheck{Variant: "native", Phase: "fault"}},
		},
	}
}

// dnsRun is a run in which all went as expected. With wrong, a remedy did not cure.
func dnsRun(t *testing.T, wrong bool) Data {
	s := &synth{}
	counters := func() map[string]float64 {
		return map[string]float64{"insert_failed": 0, "drop": 0, "clash_resolve": 0, "early_drop": 0, "count": 41, "max": 262144, "used": 0.0002}
	}
	calm := func(phase, change string) act {
		return act{Phase: phase, Every: 0.02, Took: 0.0018, Attempts: 25, Change: change}
	}
	slow := func(phase, change string) act {
		return act{Phase: phase, Every: 0.1, Took: 5.003, Attempts: 25, Rise: map[string]float64{"insert_failed": 1, "drop": 1}, Change: change}
	}
	repaired := act{Phase: "fault", Every: 0.02, Took: 0.0031, Attempts: 25, Rise: map[string]float64{"clash_resolve": 1}, Change: "hold-pairs"}
	s.lane("native/main", "lookup", 2.1, counters(), []act{calm("baseline", ""), repaired, calm("restored", "-hold-pairs")})
	for i, r := range []string{"single-request-reopen", "nodelocal-dnscache", "use-vc"} {
		cure := calm("remedy/"+r, r)
		cure.Took = []float64{0.0042, 0.0007, 0.0038}[i]
		if wrong && r == "use-vc" {
			cure = slow("remedy/"+r, r)
		}
		s.lane("forced/"+r, "lookup", 2.2+float64(i)*0.1, counters(), []act{calm("baseline", ""), slow("fault", "hold-pairs"), cure, slow("relapse/"+r, "-"+r), calm("restored", "-hold-pairs")})
	}
	s.lane("forced/random-fully", "lookup", 2.5, counters(), []act{calm("baseline", ""), slow("fault", "hold-pairs"), slow("control/random-fully", "random-fully"), calm("restored", "-hold-pairs")})
	evidence := map[string][]byte{}
	for i, phase := range []string{"baseline", "fault"} {
		name := fmt.Sprintf("conntrack-s-%d.txt", i)
		evidence[name] = []byte(fmt.Sprintf("cpu=0   found=12 invalid=0 insert=0 insert_failed=%d drop=%d early_drop=0 error=0 search_restart=0\ncpu=1   found=3 invalid=0 insert=0 insert_failed=0 drop=0 early_drop=0 error=0 search_restart=0\n", 25*i, 25*i))
		s.add(history.Event{T: 3 + float64(i)*5, Lane: "forced/use-vc", Phase: phase, Kind: history.KindEvidence, Evidence: &history.Evidence{Title: "conntrack -S", On: "node/node-1", File: name}})
	}
	const start = "2026-11-21T04:10:15.25Z"
	evidence["fault.pcap"] = lostLookup(t, start, s.first("forced/single-request-reopen", "fault").Start)
	s.add(history.Event{T: 9, Lane: "forced/single-request-reopen", Phase: "fault", Kind: history.KindEvidence, Evidence: &history.Evidence{Title: "UDP port 53 on the client's link", On: "pod/client", File: "fault.pcap"}})
	s.add(history.Event{T: 17, Kind: history.KindFingerprint, Fingerprint: &history.Fingerprint{On: "host"}})
	run := rundir.Run{
		ID: "20261121-0410-dns-5s", Scenario: "dns-5s", Title: "DNS lookups take five seconds", Digest: "sha256:5f1c9b0a", Cluster: "lab", Proxy: "nftables",
		Start: start, Command: []string{"relapse", "run", "dns-5s", "--seed", "7"}, Seed: 7,
		Offers: map[string]offers.Offer{
			"conntrack-clash-resolution": {OK: true, Why: "two clashing packets were both delivered"},
			"nfqueue":                    {OK: true, Why: "xt target NFQUEUE through nft_compat"},
			"netem":                      {OK: false, Why: "the kernel has no sch_netem"},
		},
		Versions:    map[string]string{"relapse": "v0.1.0", "kernel": "6.18.5", "go": "go1.26.8", "kube-proxy": "v1.36.3", "coredns": "v1.14.2", "glibc": "2.36"},
		Differences: []string{"Pods have no kubelet: probes of readiness are not made.", "Nodes share one kernel."},
	}
	verdict := dnsVerdict(wrong)
	return read(t, folder(t, run, s.events, &verdict, evidence), dnsScenario())
}

func dnsVerdict(wrong bool) judge.Verdict {
	ok := func(n int, p50 float64) map[string]judge.Samples {
		return map[string]judge.Samples{"lookup": {Count: n, Min: p50 * 0.9, P50: p50, P99: p50 * 1.3, Max: p50 * 1.31}}
	}
	bad := func(n int) map[string]judge.Samples {
		return map[string]judge.Samples{"lookup": {Count: n, Min: 5.0031, P50: 5.0092, P99: 5.0148, Max: 5.0149}}
	}
	quiet := map[string]judge.Detected{"insert-failed": {Expected: ptr(false), Text: "rose by 0"}, "drop": {Expected: ptr(false), Text: "rose by 0"}, "five-seconds": {Expected: ptr(false), Reading: 0}, "invalid": {Expected: ptr(false), Text: "rose by 0"}}
	loud := func(n int) map[string]judge.Detected {
		text := fmt.Sprintf("rose by %d", n)
		return map[string]judge.Detected{"insert-failed": {Fired: true, Expected: ptr(true), Reading: float64(n), Text: text}, "drop": {Fired: true, Expected: ptr(true), Reading: float64(n), Text: text}, "five-seconds": {Fired: true, Expected: ptr(true), Reading: float64(n)}, "invalid": {Expected: ptr(false), Text: "rose by 0"}}
	}
	healthy := []judge.Check{{What: "lookup: slowest at most 500ms", Seen: "5.5 ms", OK: true}, {What: "lookup: failed at most 0%", Seen: "0 of 25", OK: true}}
	sick := []judge.Check{{What: "lookup: symptom in at least 100% of the attempts", Seen: "100 of 100", OK: true}, {What: "change/hold: pairs rises by at least 1 per attempt", Seen: "rose by 100 in 100 attempts: 1 per attempt", OK: true}}
	v := judge.Verdict{
		Scenario: "dns-5s", Cluster: "lab", Proxy: "nftables", Outcome: judge.Pass,
		Reason: "The kernel dropped one packet of every forced pair and each lookup took 5.01 s; all three remedies cured it, and it came back each time one was withdrawn.",
		Variants: []judge.Variant{
			{Name: "native", Outcome: judge.Pass, Reason: "This kernel repairs the clash by itself, as it is expected to.", Reproduction: judge.Reproduction{Hits: 0, Trials: 25, Low: 0, High: 0.133},
				Phases: []judge.Phase{
					{Name: "baseline", Outcome: judge.Pass, Checks: healthy, Probes: ok(25, 0.0021), Detectors: quiet},
					{Name: "fault", Outcome: judge.Pass, Checks: []judge.Check{{What: "repaired: lookup without symptom", Seen: "0 of 25", OK: true}}, Probes: ok(25, 0.0036), Detectors: quiet},
					{Name: "restored", Outcome: judge.Pass, Checks: healthy, Probes: ok(25, 0.0021), Detectors: quiet},
				}},
			{Name: "forced", Outcome: judge.Pass, Reason: "The symptom was seen in every attempt.", Reproduction: judge.Reproduction{Hits: 175, Trials: 175, Low: 0.9785, High: 1},
				Phases: []judge.Phase{
					{Name: "baseline", Outcome: judge.Pass, Checks: healthy, Probes: ok(100, 0.0021), Detectors: quiet},
					{Name: "fault", Outcome: judge.Pass, Checks: sick, Probes: bad(100), Detectors: loud(100)},
				}},
		},
		Claims: []judge.Claim{
			{ID: "insert-failed-rises", Says: "Each lost lookup shows as insert_failed in conntrack -S.", Source: "racy", Expected: judge.Holds, Result: judge.Holds, Seen: "rose by 100 in 100 attempts: 1 per attempt"},
			{ID: "random-fully-cures", Says: "MASQUERADE --random-fully cures the five-second lookups.", Source: "racy", Expected: judge.Refuted, Result: judge.Refuted, Seen: "25 of 25 lookups took 5 s with it"},
			{ID: "still-broken", Says: "Two questions from one socket clash, and one is dropped.", Source: "k8s-56903", Expected: judge.Refuted, Result: judge.Refuted, Seen: "clash_resolve rose by 25, nothing was dropped"},
			{ID: "ipvs-too", Says: "The same happens with kube-proxy in IPVS mode.", Source: "k8s-56903", Expected: judge.Holds, Result: judge.Untested, Seen: "this kernel has no IPVS"},
		},
		Restored: judge.Restored{Clean: true},
	}
	forced := &v.Variants[1]
	for i, r := range []string{"single-request-reopen", "nodelocal-dnscache", "use-vc"} {
		remedy := judge.Phase{Name: "remedy/" + r, Outcome: judge.Pass, Checks: healthy, Probes: ok(25, []float64{0.0048, 0.0008, 0.0044}[i]), Detectors: quiet}
		if wrong && r == "use-vc" {
			remedy.Outcome, remedy.Probes, remedy.Detectors = judge.Fail, bad(25), loud(25)
			remedy.Checks = []judge.Check{{What: "lookup: slowest at most 500ms", Seen: "5.01 s", Lane: "forced/use-vc"}, healthy[1]}
		}
		forced.Phases = append(forced.Phases, remedy, judge.Phase{Name: "relapse/" + r, Outcome: judge.Pass, Checks: sick, Probes: bad(25), Detectors: loud(25)})
	}
	if wrong {
		d := map[string]judge.Detected{"insert-failed": {Fired: true, Reading: 25, Text: "rose by 25", Expected: ptr(false)}}
		forced.Phases[len(forced.Phases)-2].Detectors = d
		forced.Outcome, forced.Reason = judge.Fail, "DNS over TCP did not cure it."
		v.Outcome, v.Reason = judge.Fail, "DNS over TCP did not cure the five-second lookups, though it is documented to."
		v.Restored = judge.Restored{Differences: []string{"host: nft: table ip relapse-x is new"}}
	}
	forced.Phases = append(forced.Phases,
		judge.Phase{Name: "control/random-fully", Outcome: judge.Pass, Checks: sick, Probes: bad(25), Detectors: loud(25)},
		judge.Phase{Name: "restored", Outcome: judge.Pass, Checks: healthy, Probes: ok(100, 0.0021), Detectors: quiet})
	return v
}
