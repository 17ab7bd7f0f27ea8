package undo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ConntrackMark deletes the conntrack entries that carry a mark: those of a change that makes entries of its own.
type ConntrackMark struct {
	Mark uint32 `json:"mark"`
	Mask uint32 `json:"mask"`
}

// ctaMarkMask is CTA_MARK_MASK of linux/netfilter/nfnetlink_conntrack.h.
const ctaMarkMask = 21

func (c *ConntrackMark) String() string {
	return fmt.Sprintf("delete conntrack entries with mark %#x/%#x", c.Mark, c.Mask)
}

func (c *ConntrackMark) check() error {
	// Entries without a mark have mark 0: those are everybody's.
	if c.Mark&c.Mask == 0 || c.Mark&^c.Mask != 0 {
		return errors.New("the mark must not be 0 and must lie within the mask, or foreign entries would match")
	}
	return nil
}

// undo asks the kernel for it in one message: it walks its table itself, however many entries there are.
func (c *ConntrackMark) undo(context.Context) error {
	req := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|nl.IPCTNL_MSG_CT_DELETE, unix.NLM_F_ACK)
	req.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	req.AddData(nl.NewRtAttr(nl.CTA_MARK, binary.BigEndian.AppendUint32(nil, c.Mark)))
	req.AddData(nl.NewRtAttr(ctaMarkMask, binary.BigEndian.AppendUint32(nil, c.Mask)))
	if _, err := req.Execute(unix.NETLINK_NETFILTER, 0); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("ctnetlink: %w", err)
	}
	return nil
}
