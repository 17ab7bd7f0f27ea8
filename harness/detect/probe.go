package detect

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Probe returns the samples of one probe.
func (w Window) Probe(id string) []history.Sample {
	var samples []history.Sample
	for _, s := range w.Samples {
		if s.Probe == id {
			samples = append(samples, s)
		}
	}
	return samples
}

// Summary is the attempts of a probe in numbers of seconds. Failed attempts count with the time they took to fail, because users wait for
// those too.
type Summary struct {
	Count, Failed           int
	Fastest, P50, P99, Slow float64
	// Error is the most frequent error message.
	Error string
}

// Summarize sums up samples; quantiles are by nearest rank.
func Summarize(samples []history.Sample) Summary {
	sum := Summary{Count: len(samples)}
	if len(samples) == 0 {
		return sum
	}
	took := make([]float64, 0, len(samples))
	messages := map[string]int{}
	for _, s := range samples {
		took = append(took, s.Took)
		if s.Error != "" {
			sum.Failed++
			messages[s.Error]++
		}
	}
	for text, n := range messages {
		if most := messages[sum.Error]; n > most || n == most && text < sum.Error {
			sum.Error = text
		}
	}
	slices.Sort(took)
	sum.Fastest, sum.Slow = took[0], took[len(took)-1]
	sum.P50, sum.P99 = Quantile(took, 0.50), Quantile(took, 0.99)
	return sum
}

// Quantile returns the q-quantile of sorted numbers by nearest rank: the smallest that at least the share q of them does not
// exceed. It is always one of the numbers, never a mean of two.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	// The small term keeps 0.99 * 100 from being the 100th number because of rounding.
	rank := int(math.Ceil(q*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// ProbeCheck checks the bounds on one probe: one check for each given bound, or only "attempts were made" if there were none.
func ProbeCheck(exp scenario.ProbeExpectation, w Window) []Check {
	sum := Summarize(w.Probe(exp.Probe))
	if sum.Count == 0 && !(exp.Count != nil && exp.Count.Max != nil && *exp.Count.Max == 0) {
		return []Check{{
			What: exp.Probe + ": attempts are made", Seen: "no attempts were made",
			Blind: true, Fact: "was not tried",
		}}
	}
	var checks []Check
	if exp.Count != nil {
		n := float64(sum.Count)
		checks = append(checks, Check{
			What: fmt.Sprintf("%s: %s attempts", exp.Probe, limits(exp.Count)),
			Seen: units.Number(n), OK: exp.Count.Contains(n), Number: n,
			Fact: fmt.Sprintf("made %d attempts", sum.Count), Because: limits(exp.Count) + " expected",
		})
	}
	if exp.Failed != nil {
		checks = append(checks, failed(exp, sum))
	}
	if exp.Busiest != nil {
		checks = append(checks, busiest(exp, w.Probe(exp.Probe)))
	}
	for _, b := range []struct {
		name, fact string
		bound      *units.DurationRange
		seen       float64
	}{
		{"fastest", "at the fastest", exp.Fastest, sum.Fastest},
		{"median", "at the median", exp.P50, sum.P50},
		{"99th percentile", "at the 99th percentile", exp.P99, sum.P99},
		{"slowest", "at the slowest", exp.Slowest, sum.Slow},
	} {
		if b.bound == nil {
			continue
		}
		checks = append(checks, Check{
			What: fmt.Sprintf("%s: %s %s", exp.Probe, b.name, b.bound),
			Seen: units.Seconds(b.seen), OK: b.bound.Contains(b.seen), Number: b.seen,
			Fact: "took " + units.Seconds(b.seen) + " " + b.fact, Because: b.bound.String() + " expected",
		})
	}
	return checks
}

func failed(exp scenario.ProbeExpectation, sum Summary) Check {
	share := float64(sum.Failed) / float64(max(sum.Count, 1))
	check := Check{
		What:    fmt.Sprintf("%s: %s fail", exp.Probe, exp.Failed),
		Seen:    fmt.Sprintf("%d of %d failed", sum.Failed, sum.Count),
		OK:      exp.Failed.Contains(share),
		Number:  share,
		Fact:    fmt.Sprintf("failed %d of %d", sum.Failed, sum.Count),
		Because: sum.Error,
	}
	if sum.Error != "" {
		check.Seen += ": " + sum.Error
	} else {
		check.Because = exp.Failed.String() + " expected"
	}
	return check
}

// busiest checks the share of the answers of the pod that gave most of them.
func busiest(exp scenario.ProbeExpectation, samples []history.Sample) Check {
	most, all, text := spread(samples)
	share := float64(most) / float64(max(all, 1))
	return Check{
		What: fmt.Sprintf("%s: %s of the answers come from one pod", exp.Probe, exp.Busiest),
		Seen: text, OK: all > 0 && exp.Busiest.Contains(share), Blind: all == 0, Number: share,
		Fact: "was answered by: " + text, Because: exp.Busiest.String() + " expected",
	}
}

// spread is how many answers came from the busiest pod, and how many say from whom they came. Lanes have pods of their own: the busiest of
// each counts.
func spread(samples []history.Sample) (most, all int, text string) {
	answers := map[string]map[string]int{}
	for _, s := range samples {
		if s.By == "" || s.Error != "" {
			continue
		}
		if answers[s.Lane] == nil {
			answers[s.Lane] = map[string]int{}
		}
		answers[s.Lane][s.By]++
		all++
	}
	if all == 0 {
		return 0, 0, "no answer says from whom it came"
	}
	pods := 0
	for _, lane := range answers {
		most += slices.Max(slices.Collect(maps.Values(lane)))
		pods = max(pods, len(lane))
	}
	return most, all, fmt.Sprintf("%d of %d answers came from one pod of %d", most, all, pods)
}
