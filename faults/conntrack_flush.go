package faults

import (
	"context"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
)

// ConntrackFlush deletes the entries of one class of flows once, as conntrack -D with a filter does. What was deleted does not
// come back when this is undone; flows make new entries as they go on.
type ConntrackFlush struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the destination port of the original direction.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`

	deleted int
}

// Apply deletes them.
func (c *ConntrackFlush) Apply(ctx context.Context, _ *Namespace) error {
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
