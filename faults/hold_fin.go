package faults

import (
	"cmp"
	"context"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// HoldFIN holds the segment with which a TCP server closes a connection, until the client sends more data and the server answers with a
// RST. So the client always uses a connection that is already closed. If the FIN is in a segment with data, the data is held too. Make it
// on the pod of the server.
type HoldFIN struct {
	// Port of the server.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// MaxHold is how long a FIN waits for a RST. Default: 1s.
	MaxHold units.Duration `json:"maxHold,omitempty"`

	holding holding
}

// Validate limits the time.
func (c *HoldFIN) Validate() error { return atMost("maxHold", c.MaxHold, longestHold) }

// Apply arms it.
func (c *HoldFIN) Apply(_ context.Context, ns *Namespace) error {
	wait := cmp.Or(c.MaxHold.Std(), time.Second)
	spec := fromServer(c.Port, &hold.FIN{MaxWait: wait})
	spec.MaxHold = wait + time.Second
	return c.holding.start(ns, spec)
}

// Meetings are the flows of which a FIN was held.
func (c *HoldFIN) Meetings() (met []changes.Meeting, trouble string) { return c.holding.meetings() }

// Keys are its numbers.
func (*HoldFIN) Keys() units.Keys {
	return holdingKeys(units.Keys{
		"held": {Means: "FINs that were held"}, "released": {Means: "FINs that were released after a RST"},
		"timedOut": {Means: "FINs that were released by their time-out"},
	})
}

// Readings are the hold's numbers.
func (c *HoldFIN) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{"held": float64(s.Kept), "released": float64(s.Groups), "timedOut": float64(s.ReleasedByTimeout)}
	})
}
