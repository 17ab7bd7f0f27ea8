package faults

import "context"

// RestartClient lets a probe go on as if its program had been started again: with a new socket, and so another source port. Undoing
// it goes back to the socket that the probe had, which was kept open.
type RestartClient struct {
	// Probe is the probe's id; it must be one of the pod's that the change is made on.
	Probe string `json:"probe" ref:"probe"`
}

// Apply puts the old socket aside.
func (c *RestartClient) Apply(_ context.Context, ns *Namespace) error {
	back, err := ns.Clients.Renew(c.Probe)
	if err != nil {
		return err
	}
	return ns.Scope.PushFunc("probe "+c.Probe+" goes on with its old socket", func(context.Context) error { return back() })
}
