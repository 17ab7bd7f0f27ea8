package faults

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

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
	// PutBack has undoing it put back the entries that were deleted, in place of deleting once more: where the failure lies in an
	// entry that no packet would make again. An entry whose flow has a new one stays away.
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

// Readings: deleted is how many entries were deleted.
func (c *ConntrackFlush) Readings(context.Context) (map[string]float64, error) {
	return map[string]float64{"deleted": float64(c.deleted)}, nil
}
