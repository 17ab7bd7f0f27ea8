package reports

import (
	"testing"

	"github.com/relapse-k8s/relapse/clusters/logs"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// conntrackRun is a run with attempts that fail, a second probe that goes on well, and logs.
func conntrackRun(t *testing.T) Data {
	s := &synth{}
	calm := func(phase, change string) act {
		return act{Phase: phase, Every: 0.05, Took: 0.0006, Attempts: 20, Beside: "echo", Change: change, Hold: map[string]float64{"used": 0.001, "count": 262}}
	}
	full := func(phase, change string) act {
		return act{Phase: phase, Every: 0.1, Took: 1.0, Attempts: 20, Beside: "echo", Change: change, Error: "dial tcp 10.96.0.20:80: i/o timeout", Rise: map[string]float64{"drop": 1}, Hold: map[string]float64{"used": 1, "count": 262144}}
	}
	for i, r := range []string{"flush", "notrack"} {
		start := 1.2 + float64(i)*0.05
		lane := "default/" + r
		s.lane(lane, "connect", start, map[string]float64{"drop": 0, "early_drop": 0, "insert_failed": 0, "count": 262, "max": 262144, "used": 0.001},
			[]act{calm("baseline", ""), full("fault", "fill"), calm("remedy/"+r, r), full("relapse/"+r, "-"+r), calm("restored", "-fill")})
		s.add(history.Event{T: 3.4, Kind: history.KindLog, Log: &logs.Line{Source: "kernel", On: "host", Line: "nf_conntrack: nf_conntrack: table full in netns 4026532674, dropping packet", Event: "conntrack-table-full", Netns: 4026532674}})
	}
	for i := range 7 {
		s.add(history.Event{T: 3.5 + float64(i)*0.1, Lane: "default/flush", Kind: history.KindLog, Log: &logs.Line{
			Source: "nginx", On: "pod/gateway", Line: "connect() failed (110: Connection timed out) while connecting to upstream", Event: "upstream-timeout",
			Fields: map[string]string{"upstream": "10.96.0.20:80", "status": "504"},
		}})
	}
	sc := &scenario.Scenario{
		Metadata: scenario.Metadata{ID: "conntrack-exhaustion", Title: "New connections time out while old ones live on", Layer: "L4",
			Summary: "Every connection through a node takes an entry in a table of fixed size. When it is full, the first packet of a new connection is dropped. Connections that have their entry go on as if nothing were wrong."},
		Variants: []scenario.Variant{{ID: "default", Mechanism: "native", Why: "The node's own table is filled with entries that the kernel may not evict.",
			Symptom: scenario.Symptom{Probe: "connect", Attempt: scenario.AttemptCriterion{Failed: ptr(true)}}}},
		Detection: []scenario.Detector{{ID: "drop", Title: "drop rises", Command: "conntrack -S", Use: looks("drop")}, {ID: "used", Title: "the table is full", Command: "sysctl net.netfilter.nf_conntrack_count", Use: looks("used")}},
		Remedies:  []scenario.Remedy{{ID: "flush", Title: "Delete the entries"}, {ID: "notrack", Title: "NOTRACK for the flood"}},
	}
	calmPhase := func(name string) judge.Phase {
		return judge.Phase{Name: name, Outcome: judge.Pass, Probes: map[string]judge.Samples{"connect": {Count: 40, P50: 0.0007, P99: 0.0008, Max: 0.0008}}, Detectors: map[string]judge.Detected{"drop": {Text: "rose by 0"}, "used": {Text: "0.1 %"}}}
	}
	fullPhase := func(name string) judge.Phase {
		return judge.Phase{Name: name, Outcome: judge.Pass, Probes: map[string]judge.Samples{"connect": {Count: 40, Failed: 40, P50: 1.005, P99: 1.011, Max: 1.011}}, Detectors: map[string]judge.Detected{"drop": {Fired: true, Text: "rose by 40"}, "used": {Fired: true, Text: "100 %"}}}
	}
	verdict := judge.Verdict{
		Scenario: "conntrack-exhaustion", Cluster: "lab", Proxy: "iptables", Outcome: judge.Pass, Restored: judge.Restored{Clean: true},
		Reason: "With the table full every new connection timed out, and the old one went on.",
		Variants: []judge.Variant{{Name: "default", Outcome: judge.Pass, Reproduction: judge.Reproduction{Hits: 80, Trials: 80, Low: 0.954, High: 1}, Phases: []judge.Phase{
			calmPhase("baseline"), fullPhase("fault"), calmPhase("remedy/flush"), fullPhase("relapse/flush"), calmPhase("remedy/notrack"), fullPhase("relapse/notrack"), calmPhase("restored"),
		}}},
	}
	run := rundir.Run{ID: "20261121-0500-conntrack", Scenario: "conntrack-exhaustion", Cluster: "lab", Proxy: "iptables", Start: "2026-11-21T05:00:00Z", Versions: map[string]string{"kernel": "6.18.5"}, Command: []string{"relapse", "run", "conntrack-exhaustion"}, Seed: 1,
		Netns: map[string]uint64{"default/notrack node/node-1": 4026532674}}
	return read(t, folder(t, run, s.events, &verdict, nil), sc)
}

// crashRun ended inside the fault; its scenario is not at hand any more.
func crashRun(t *testing.T) Data {
	s := &synth{}
	s.lane("default/main", "lookup", 1, map[string]float64{"drop": 0}, []act{
		{Phase: "baseline", Every: 0.1, Took: 0.002, Attempts: 10},
		{Phase: "fault", Every: 0.1, Took: 0.9, Attempts: 10, Rise: map[string]float64{"drop": 1}, Change: "hold"},
	})
	s.events = s.events[:len(s.events)-6]
	s.add(history.Event{T: 4.5, Lane: "default/main", Phase: "fault", Kind: history.KindError, Text: "agent of node/node-1: stream broke: EOF <script>alert(1)</script>"})
	run := rundir.Run{ID: "crash", Scenario: "dns-5s", Title: "DNS lookups take five seconds", Cluster: "lab", Proxy: "nftables", Start: "2026-11-21T04:10:15Z", Command: []string{"relapse", "run", "dns-5s"}}
	return read(t, folder(t, run, s.events, nil, nil), nil)
}
