package faults

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/faults/hold"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Reorder lets segments of a TCP server overtake one another, as paths of different length do. On a node it acts on what
// arrives there, before conntrack sees it. Where the server runs it acts on what is sent: there a segment that is held is still
// on its way to the device, and Linux does not send such a one a second time, so that it is late and nothing else.
// Source: linux net/ipv4/tcp_output.c (skb_still_in_host_queue).
type Reorder struct {
	// Port of the server.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// Distance is how many segments with data overtake one that is kept back. Default: 3.
	Distance int `json:"distance,omitempty" jsonschema:"minimum=1,maximum=10000"`
	// Every is which segments with data are kept back: each such one of a connection. Default: 10.
	Every int `json:"every,omitempty" jsonschema:"minimum=1,maximum=100000"`
	// MaxWait is how long a segment is kept back when too few follow it. Default: 50ms.
	MaxWait scenario.Duration `json:"maxWait,omitempty"`

	holding holding
}

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

// Readings: armed is 1 while it is on; held counts the segments that were kept back, overtaken those that went when as many as
// wanted had overtaken them, timedOut those that went when their time was up.
func (c *Reorder) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{"held": float64(s.Kept), "overtaken": float64(s.Groups), "timedOut": float64(s.ReleasedByTimeout)}
	})
}
