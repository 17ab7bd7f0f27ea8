package undo

import (
	"context"
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// ConntrackMark deletes the conntrack entries that carry a mark: those of a change that makes entries of its own.
type ConntrackMark struct {
	Mark uint32 `json:"mark"`
	Mask uint32 `json:"mask"`
}

func (c *ConntrackMark) String() string {
	return fmt.Sprintf("delete conntrack entries with mark %#x/%#x", c.Mark, c.Mask)
}

func (c *ConntrackMark) check() error {
	// Entries without a mark have mark 0: those belong to others.
	if c.Mark&c.Mask == 0 || c.Mark&^c.Mask != 0 {
		return errors.New("the mark must not be 0 and must lie within the mask, or foreign entries would match")
	}
	return nil
}

func (c *ConntrackMark) undo(ctx context.Context) error {
	table, err := ctnetlink.Open()
	if err != nil {
		return err
	}
	return errors.Join(table.DeleteByMark(ctx, c.Mark, c.Mask), table.Close())
}
