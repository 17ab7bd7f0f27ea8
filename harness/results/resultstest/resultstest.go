// Package resultstest makes results as nightly suites leave them, for tests and benchmarks.
package resultstest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// First is when the first night begins.
var First = time.Date(2026, 9, 1, 2, 0, 0, 0, time.UTC)

// World is what does not change from night to night.
type World struct {
	// Scenarios and Envs are how many there are of each.
	Scenarios, Envs int
	// Inconclusive is the share of runs of which nothing can be concluded.
	Inconclusive float64
	rng          *rand.Rand
}

// NewWorld makes a world whose runs differ by chance.
func NewWorld(scenarios, envs int, seed uint64) *World {
	return &World{Scenarios: scenarios, Envs: envs, rng: rand.New(rand.NewPCG(seed, 1))}
}

// Night makes the results of a night: one run of each scenario in each environment.
func (w *World) Night(n int) []results.Result {
	list := make([]results.Result, 0, w.Scenarios*w.Envs)
	for env := range w.Envs {
		for s := range w.Scenarios {
			list = append(list, w.run(n, s, env))
		}
	}
	return list
}

// Nights makes the results of several nights, one after the other.
func (w *World) Nights(from, to int) []results.Result {
	var list []results.Result
	for n := from; n < to; n++ {
		list = append(list, w.Night(n)...)
	}
	return list
}

// vary is a time that differs from run to run as on a real machine: most by some percent, a few by much more.
func (w *World) vary(seconds float64) *float64 {
	spread := 0.06
	if w.rng.Float64() < 0.05 {
		spread = 0.5
	}
	v := seconds * math.Exp(spread*w.rng.NormFloat64())
	v = math.Round(v*1e7) / 1e7
	return &v
}

var remedies = []string{"larger-table", "shorter-timeout", "other-proxy"}

func (w *World) run(night, s, env int) results.Result {
	kernel := fmt.Sprintf("6.%d", 8+env)
	yes := true
	r := results.Result{
		Format: results.Format, Run: fmt.Sprintf("run-%d-%d-%d", night, s, env), Variant: "forced", Scenario: fmt.Sprintf("scenario-%d", s),
		Title: "A failure that everybody knows, and that a nightly suite brings about", Digest: "sha256:1234567890abcdef",
		Start: First.AddDate(0, 0, night).Add(time.Duration(s)*time.Minute + time.Duration(env)*time.Second), Took: *w.vary(20),
		Env: results.EnvironmentOf("lab", "nftables", map[string]string{"kernel": kernel}, ""),
		Versions: map[string]string{
			"relapse": fmt.Sprintf("%012x", night), "go": "go1.26.8", "kernel": kernel + ".44", "kube-proxy": "v1.36.3", "coredns": "v1.14.2",
			"glibc": "glibc 2.36", "nft": "nftables v1.0.6", "iptables": "iptables v1.8.9",
		},
		Command: []string{"relapse", "run", fmt.Sprintf("scenario-%d", s), "--proxy", "nftables", "--seed", fmt.Sprint(night)},
		Folder:  fmt.Sprintf("20260901-020000-scenario-%d-lab", s), Outcome: judge.Pass, Restored: &yes,
		Reason:       "every attempt took 5 s under the fault (25 of 25), all 3 remedies cured it",
		Reproduction: results.Reproduction{Hits: 25, Trials: 25, Attempts: 25 + w.rng.IntN(3)},
	}
	if w.rng.Float64() < w.Inconclusive {
		r.Outcome, r.Reason = judge.Inconclusive, "the cluster was not ready"
	}
	add := func(name string, seconds float64, sick bool) {
		p := results.Phase{
			Name: name, Outcome: judge.Pass, Took: *w.vary(3), Symptom: &results.Sighting{Says: judge.Absent, Trials: 25},
			Probes:    map[string]results.Samples{},
			Detectors: map[string]results.Detected{"log": {Says: results.Quiet, Expected: results.Quiet}},
		}
		for i, probe := range []string{"lookup", "request"} {
			p50 := *w.vary(seconds * float64(i+1))
			p.Probes[probe] = results.Samples{Count: 25, P50: p50, P99: p50 * 2, Max: p50 * 3}
		}
		for i, id := range []string{"drops", "slow"} {
			d := results.Detected{Says: results.Quiet, Expected: results.Quiet}
			if sick {
				d = results.Detected{Says: results.Fired, Expected: results.Fired, After: w.vary(float64(i + 2))}
			}
			p.Detectors[id] = d
		}
		if sick {
			p.Symptom = &results.Sighting{Says: judge.Shown, Hits: 25, Trials: 25}
		} else if name != "baseline" {
			p.Recovery = w.vary(1.5)
		}
		r.Phases = append(r.Phases, p)
	}
	add("baseline", 0.003, false)
	add("fault", 5, true)
	for _, id := range remedies {
		add("remedy/"+id, 0.2, false)
		add("relapse/"+id, 5, true)
	}
	add("restored", 0.003, false)
	for _, id := range []string{"takes-five-seconds", "counter-rises", "timeout-does-not-help"} {
		r.Claims = append(r.Claims, results.Claim{ID: id, Says: "A sentence of a document, which the scenario checks.", Expected: judge.Holds, Result: judge.Holds})
	}
	return r
}
