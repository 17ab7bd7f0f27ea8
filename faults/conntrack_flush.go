package faults

import (
	"context"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
)

// ConntrackFlush deletes the entries of one class of flows once, as conntrack -D with a filter does. What was deleted does not
// come back; flows make new entries as they go on. Undoing it deletes the class once more, so that no entry made meanwhile, with
// a time-out that has been taken back since, outlives the remedy.
type ConntrackFlush struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the destination port of the original direction.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`

	deleted int
}

// Apply deletes them.
func (c *ConntrackFlush) Apply(ctx context.Context, ns *Namespace) error {
	if err := ns.Scope.PushFunc("flush again", c.flush); err != nil {
		return err
	}
	return c.flush(ctx)
}

func (c *ConntrackFlush) flush(ctx context.Context) error {
	table, err := ctnetlink.Open()
	if err != nil {
		return err
	}
	defer table.Close()
	c.deleted, err = table.DeleteWhere(ctx, ctnetlink.Filter{Proto: protocolNumber(c.Protocol), DstPort: uint16(c.Port)})
	return err
}

// Readings: deleted is how many entries were deleted.
func (c *ConntrackFlush) Readings(context.Context) (map[string]float64, error) {
	return map[string]float64{"deleted": float64(c.deleted)}, nil
}
