package faults

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// RestartClient makes a probe continue as if its program had been restarted: with a new socket, and so another source port. Undoing it
// restores the old socket, which is kept open.
type RestartClient struct {
	// Probe is the id of a probe of the pod on which the change is made.
	Probe string `json:"probe" ref:"probe"`

	clients Clients
	former  uint16
}

// Apply puts the old socket aside.
func (c *RestartClient) Apply(_ context.Context, ns *Namespace) error {
	c.clients, c.former = ns.Clients, ns.Clients.Port(c.Probe)
	back, err := ns.Clients.Renew(c.Probe)
	if err != nil {
		return err
	}
	if err := ns.Scope.PushFunc("give probe "+c.Probe+" its old socket back", func(context.Context) error { return back() }); err != nil {
		return errors.Join(err, back())
	}
	return nil
}

// Keys are its numbers.
func (*RestartClient) Keys() units.Keys {
	return units.Keys{
		"port":   {Means: "source port of the probe's socket, 0 until it has sent something", Kind: units.Gauge},
		"former": {Means: "the port before the change", Kind: units.Gauge},
	}
}

// Readings looks at the probe.
func (c *RestartClient) Readings(context.Context) (map[string]float64, error) {
	return map[string]float64{"port": float64(c.clients.Port(c.Probe)), "former": float64(c.former)}, nil
}
