package faults

import (
	"context"
	"errors"
	"math"

	"github.com/relapse-k8s/relapse/faults/hold"
)

// StraySegment sends, once in each connection of a TCP server, a copy of a segment with another sequence number: what a
// delayed, repeated or damaged segment looks like to conntrack, which has never seen this part of the stream. The segment
// itself is not harmed. It is made where the server runs.
type StraySegment struct {
	// Port of the server.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// AfterSegments is behind how many segments with data the copy is sent. Default: 1.
	AfterSegments int `json:"afterSegments,omitempty" jsonschema:"minimum=1,maximum=100000"`
	// Offset is added to the copy's sequence number. Default: 536870912, which is far beyond any window.
	Offset int `json:"offset,omitempty"`

	holding holding
}

// Validate refuses what is no distance between sequence numbers.
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

// Readings: armed is 1 while it is on, sent counts the copies.
func (c *StraySegment) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{"sent": float64(s.Injected)}
	})
}
