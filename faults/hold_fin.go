package faults

import (
	"cmp"
	"context"
	"time"

	"github.com/relapse-k8s/relapse/faults/hold"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// HoldFIN keeps what says that a TCP server has closed a connection from its client, until the client sends something more
// and the server answers with a RST: the window in which a client uses a connection that is closed already, open every time.
// A FIN that comes in one segment with data keeps the data back too. It is made where the server runs.
type HoldFIN struct {
	// Port of the server.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// MaxHold is how long a FIN waits for a RST. Default: 1s.
	MaxHold scenario.Duration `json:"maxHold,omitempty"`

	holding holding
}

// Apply arms it.
func (c *HoldFIN) Apply(_ context.Context, ns *Namespace) error {
	wait := cmp.Or(c.MaxHold.Std(), time.Second)
	spec := fromServer(c.Port, &hold.FIN{MaxWait: wait})
	spec.MaxHold = wait + time.Second
	return c.holding.start(ns, spec)
}

// Readings: armed is 1 while it is on; held counts the FINs that were held, released those that went behind a RST, timedOut
// those that went when their time was up.
func (c *HoldFIN) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{"held": float64(s.Kept), "released": float64(s.Groups), "timedOut": float64(s.ReleasedByTimeout)}
	})
}
