package faults

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// Reorder makes segments of a TCP server overtake each other, as on paths of different length. On a node it acts on segments that arrive
// there, before conntrack sees them. On the place of the server it acts on segments that are sent: Linux does not retransmit a segment
// that is still on its way to the device, so a held segment is only late.
// Source: linux net/ipv4/tcp_output.c (skb_still_in_host_queue).
type Reorder struct {
	// Port of the server.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// Distance is how many segments with data overtake a held one. Default: 3.
	Distance int `json:"distance,omitempty" jsonschema:"minimum=1,maximum=10000"`
	// Every says which segments with data are held: every n-th of a connection. Default: 10.
	Every int `json:"every,omitempty" jsonschema:"minimum=1,maximum=100000"`
	// MaxWait is how long a segment is held if too few follow it: at most 10s. Default: 50ms.
	MaxWait units.Duration `json:"maxWait,omitempty"`

	holding holding
}

// Validate bounds the wait: a connection would not survive a longer one.
func (c *Reorder) Validate() error { return atMost("maxWait", c.MaxWait, longestHold) }

// Apply arms it.
func (c *Reorder) Apply(_ context.Context, ns *Namespace) error {
	wait := cmp.Or(c.MaxWait.Std(), 50*time.Millisecond)
	spec := fromServer(c.Port, &hold.Reorder{Distance: c.Distance, Every: c.Every, MaxWait: wait})
	if strings.HasPrefix(ns.Place, "node/") {
		spec.Hook, spec.Priority = hold.Prerouting, -300 // conntrack is at -200
	}
	spec.MaxHold = wait + time.Second
	return c.holding.start(ns, spec)
}

// Meetings are the flows of which a segment was held.
func (c *Reorder) Meetings() (met []changes.Meeting, trouble string) { return c.holding.meetings() }

// Keys are its numbers.
func (*Reorder) Keys() units.Keys {
	return holdingKeys(units.Keys{
		"held": {Means: "segments that were held"}, "overtaken": {Means: "segments that distance others have overtaken"},
		"timedOut": {Means: "segments that were released by maxWait"},
	})
}

// Readings are the hold's numbers.
func (c *Reorder) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{"held": float64(s.Kept), "overtaken": float64(s.Groups), "timedOut": float64(s.ReleasedByTimeout)}
	})
}
