package faults

import (
	"context"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// FreeLeases deletes the leases of containers that do not exist, as people do who find the node's range exhausted. Undoing it writes them
// again.
type FreeLeases struct{}

// Apply deletes them.
func (*FreeLeases) Apply(_ context.Context, ns *Namespace) error {
	h, err := findHostLocal()
	if err != nil {
		return err
	}
	stale, _, err := h.leases()
	if err != nil {
		return err
	}
	for _, path := range stale {
		if err := ns.Scope.RemoveFile(path); err != nil {
			return err
		}
	}
	return nil
}

// Keys are its numbers.
func (*FreeLeases) Keys() units.Keys { return (*PodLeases)(nil).Keys() }

// Readings counts leases.
func (*FreeLeases) Readings(context.Context) (map[string]float64, error) { return readLeases() }
