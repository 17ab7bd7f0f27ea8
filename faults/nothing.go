package faults

import (
	"context"

	"github.com/relapse-k8s/relapse/harness/site"
)

// Nothing changes nothing, at any place. It is for checking a scenario: with it in place of the fault the scenario must not pass,
// and with it in place of a remedy it must fail. It has no readings.
type Nothing struct{}

// Apply does nothing.
func (*Nothing) Apply(context.Context, *Namespace) error { return nil }

// ApplyTo does nothing to the cluster as a whole.
func (*Nothing) ApplyTo(context.Context, *site.Site, string) (undo func(context.Context) error, err error) {
	return nil, nil
}
