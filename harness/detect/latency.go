package detect

import (
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Latency fires when a share of a probe's attempts took about as long as a known timeout: the peak in the histogram.
type Latency struct {
	// Probe is the id of the probe whose attempts are looked at, failed ones included.
	Probe string `json:"probe"`
	// Took is the range that the peak lies in.
	Took scenario.DurationRange `json:"took"`
	// Share is how many of the attempts must lie in it.
	Share scenario.PercentRange `json:"share"`
}

// Validate refuses settings that mean nothing.
func (l *Latency) Validate() error {
	var errs []error
	if l.Probe == "" {
		errs = append(errs, errors.New("probe must be given"))
	}
	if l.Took.Min == nil && l.Took.Max == nil {
		errs = append(errs, errors.New("took must have a min or a max"))
	}
	if l.Share.Min == nil && l.Share.Max == nil {
		errs = append(errs, errors.New("share must have a min or a max"))
	}
	return errors.Join(errs...)
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
