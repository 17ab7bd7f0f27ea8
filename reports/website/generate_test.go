package website

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// midnight is when the first night of generated results begins.
var midnight = time.Date(2026, 10, 1, 3, 0, 0, 0, time.UTC)

// nights generates results of a store: so many nights of scenarios in environments, in the order of time. All pass; each alters those that
// it wants to.
func nights(n, scenarios, environments int, alter func(night int, r *results.Result)) []*results.Result {
	random := rand.New(rand.NewPCG(1, 2))
	near := func(v float64) float64 { return v * (0.95 + 0.1*random.Float64()) }
	var all []*results.Result
	for night := range n {
		for s := range scenarios {
			for e := range environments {
				r := passed(fmt.Sprintf("scenario-%02d", s), near)
				r.Env = []results.Environment{
					{Cluster: "lab", Proxy: "nftables", Kernel: "6.18"}, {Cluster: "lab", Proxy: "iptables", Kernel: "6.18"},
					{Cluster: "kind", CNI: "cilium", Proxy: "none", Kubernetes: "1.36", Kernel: "6.18"},
				}[e%3]
				if e >= 3 {
					r.Env.Host = fmt.Sprintf("host-%d", e)
				}
				r.Start = midnight.AddDate(0, 0, night).Add(time.Duration(s)*time.Minute + time.Duration(e)*time.Second)
				r.Run = fmt.Sprintf("%s-%d-%d", r.Start.Format("20060102-150405"), s, e)
				r.Folder = r.Run + "-" + r.Scenario
				r.Versions["relapse"] = fmt.Sprintf("%012x", 0xabc0000000+night)
				if alter != nil {
					alter(night, r)
				}
				all = append(all, r)
			}
		}
	}
	return all
}

// passed is a result of a run in which all was as expected.
func passed(scenario string, near func(float64) float64) *results.Result {
	clean, after, recovery := true, near(0.3), near(0.4)
	phase := func(name, says string, took float64) results.Phase {
		p := results.Phase{
			Name: name, Outcome: judge.Pass, Took: near(3), Symptom: &results.Sighting{Says: says, Trials: 20},
			Probes:    map[string]results.Samples{"lookup": {Count: 20, P50: near(took), P99: near(2 * took), Max: near(2 * took)}},
			Detectors: map[string]results.Detected{"drops": {Says: results.Quiet, Expected: results.Quiet}},
		}
		if says == judge.Shown {
			p.Symptom.Hits = 20
			p.Detectors["drops"] = results.Detected{Says: results.Fired, Expected: results.Fired, After: &after}
		} else if name != "baseline" {
			p.Recovery = &recovery
		}
		return p
	}
	return &results.Result{
		Format: results.Format, Variant: "default", Scenario: scenario, Title: "Lookups of " + scenario + " take five seconds", Digest: "sha256:0123",
		Took: near(20), Command: []string{"relapse", "run", scenario, "--seed", "7"}, Outcome: judge.Pass, Restored: &clean,
		Versions:     map[string]string{"kernel": "6.18.44", "kube-proxy": "v1.36.3", "coredns": "v1.14.2"},
		Reproduction: results.Reproduction{Hits: 20, Trials: 20, Attempts: 20},
		Phases: []results.Phase{
			phase("baseline", judge.Absent, 0.002), phase("fault", judge.Shown, 5), phase("remedy/use-vc", judge.Absent, 0.003),
			phase("relapse/use-vc", judge.Shown, 5), phase("control/more-cpu", judge.Shown, 5), phase("restored", judge.Absent, 0.002),
		},
		Claims: []results.Claim{
			{ID: "five", Says: "Lookups take five seconds", Expected: judge.Holds, Result: judge.Holds},
			{ID: "cpu", Says: "More CPU helps", Expected: judge.Refuted, Result: judge.Refuted},
		},
	}
}

// broken makes a run fail because a remedy does not cure any more.
func broken(r *results.Result) {
	r.Outcome, r.Reason = judge.Fail, "remedy use-vc did not cure it: 12 of 20 attempts were slow"
	r.Command = append(r.Command, "--proxy", r.Env.Proxy)
	p := r.Phase("remedy/use-vc")
	p.Outcome, p.Why, p.Recovery = judge.Fail, "12 of 20 attempts were slow", nil
	p.Symptom = &results.Sighting{Says: judge.Partly, Hits: 12, Trials: 20}
	r.Claims[0].Result, r.Claims[0].Seen = judge.Refuted, "12 of 20 were slow"
}
