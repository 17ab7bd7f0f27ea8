package faults

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// ConntrackFlush deletes the entries of one class of flows once, as conntrack -D with a filter does. Deleted entries are not restored;
// flows that continue get new entries. Undoing it deletes the class once more, so that no entry from the time of the remedy, with the
// remedy's time-out, outlives it.
type ConntrackFlush struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the destination port of the original direction.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// PutBack restores the deleted entries when the change is undone, instead of deleting once more. It is for failures that consist of an
	// entry which no packet would create again. An entry is not restored if its flow has a new one.
	PutBack bool `json:"putBack,omitempty"`

	taken   []ctnetlink.Entry
	deleted int
}

// Apply deletes them.
func (c *ConntrackFlush) Apply(ctx context.Context, ns *Namespace) error {
	what, undo := "flush again", c.flush
	if c.PutBack {
		what, undo = "put back what was flushed", c.putBack
	}
	if err := ns.Scope.PushFunc(what, undo); err != nil {
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
	c.taken, err = table.TakeWhere(ctx, ctnetlink.Filter{Proto: protocolNumber(c.Protocol), DstPort: uint16(c.Port)})
	c.deleted = len(c.taken)
	return err
}

func (c *ConntrackFlush) putBack(ctx context.Context) error {
	table, err := ctnetlink.Open()
	if err != nil {
		return err
	}
	defer table.Close()
	var errs []error
	for _, e := range c.taken {
		if err := table.Create(ctx, e.Again()); err != nil && !errors.Is(err, unix.EEXIST) {
			errs = append(errs, fmt.Errorf("put back: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Keys are its numbers.
func (*ConntrackFlush) Keys() units.Keys {
	return units.Keys{"deleted": {Means: "entries that were deleted"}}
}

// Readings: the entries were deleted once.
func (c *ConntrackFlush) Readings(context.Context) (map[string]float64, error) {
	return map[string]float64{"deleted": float64(c.deleted)}, nil
}
