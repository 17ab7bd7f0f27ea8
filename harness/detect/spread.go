package detect

import (
	"errors"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Spread fires if one pod gives a share of the answers: requests per pod, as dashboards show them. Only probes that know which pod answered
// can be looked at.
type Spread struct {
	// Probe is the id of the probe whose answers are counted.
	Probe string `json:"probe" ref:"probe"`
	// Busiest is the share of the answers that the pod with most of them must have.
	Busiest units.PercentRange `json:"busiest"`
}

// Validate refuses a detector without a bound.
func (d *Spread) Validate() error {
	if d.Busiest.Min == nil && d.Busiest.Max == nil {
		return errors.New("busiest needs min, max or both")
	}
	return nil
}

// Decide counts the answers of each pod.
func (d *Spread) Decide(w Window) Result {
	most, all, text := spread(w.Probe(d.Probe))
	share := float64(most) / float64(max(all, 1))
	return Result{Fired: all > 0 && d.Busiest.Contains(share), Blind: all == 0, Reading: share, Text: text}
}
