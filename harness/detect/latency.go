package detect

import (
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Latency fires if a share of a probe's attempts took about as long as a known time-out: the peak in the histogram.
type Latency struct {
	// Probe is the id of the probe whose attempts are counted, including failed ones.
	Probe string `json:"probe" ref:"probe"`
	// Took is the range of the peak.
	Took units.DurationRange `json:"took"`
	// Share is how many of the attempts must be in the range.
	Share units.PercentRange `json:"share"`
}

// Decide counts the attempts inside the range.
func (l *Latency) Decide(w Window) Result {
	samples := w.Probe(l.Probe)
	if len(samples) == 0 {
		return Result{Blind: true, Text: l.Probe + " made no attempts"}
	}
	inside := 0
	for _, s := range samples {
		if l.Took.Contains(s.Took) {
			inside++
		}
	}
	share := float64(inside) / float64(len(samples))
	return Result{
		Fired:   l.Share.Contains(share),
		Reading: share,
		Text:    fmt.Sprintf("%d of %d took %s", inside, len(samples), &l.Took),
	}
}
