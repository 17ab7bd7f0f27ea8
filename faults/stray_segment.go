package faults

import (
	"context"
	"errors"
	"math"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// StraySegment sends, once in each connection of a TCP server, a copy of a segment with another sequence number. To conntrack it looks
// like a delayed, repeated or damaged segment. The original segment is not changed. Make it on the place of the server.
type StraySegment struct {
	// Port of the server.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// AfterSegments is the number of segments with data after which the copy is sent. Default: 1.
	AfterSegments int `json:"afterSegments,omitempty" jsonschema:"minimum=1,maximum=100000"`
	// Offset is added to the copy's sequence number. Default: 536870912, which is far beyond any window.
	Offset int `json:"offset,omitempty"`

	holding holding
}

// Validate refuses offsets that do not fit a sequence number.
func (c *StraySegment) Validate() error {
	if c.Offset < math.MinInt32 || c.Offset > math.MaxInt32 {
		return errors.New("offset must be between -2147483648 and 2147483647")
	}
	return nil
}

// Apply arms it.
func (c *StraySegment) Apply(_ context.Context, ns *Namespace) error {
	spec := fromServer(c.Port, &hold.Stray{After: c.AfterSegments, Offset: int32(c.Offset)})
	spec.InjectMark = injectMark
	return c.holding.start(ns, spec)
}

// Meetings are the flows in which a copy was sent.
func (c *StraySegment) Meetings() (met []changes.Meeting, trouble string) {
	return c.holding.meetings()
}

// Keys are its numbers.
func (*StraySegment) Keys() units.Keys {
	return holdingKeys(units.Keys{"sent": {Means: "copies that were sent"}})
}

// Readings are the hold's numbers.
func (c *StraySegment) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{"sent": float64(s.Injected)}
	})
}
