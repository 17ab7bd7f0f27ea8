package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// ConntrackOccupy fills a node's own conntrack table through ctnetlink, up to the limit or short of it: a tiny table, without
// touching the limit, which belongs to the whole machine.
type ConntrackOccupy struct {
	// Leave is how many entries stay free.
	Leave int `json:"leave" jsonschema:"minimum=0"`
	// Unreplied makes entries of flows that never had an answer, which the kernel throws out when the table is full.
	Unreplied bool `json:"unreplied,omitempty"`

	table   *ctnetlink.Conn
	entries int
	next    int // number of the next connection
}

const (
	// occupyMark marks the entries, so that exactly they can be deleted.
	occupyMark uint32 = 0x52454c50
	// occupyTimeout is longer than any run.
	occupyTimeout = time.Hour
	// occupyRounds bounds how often the free space is looked at again, because other flows come and go meanwhile.
	occupyRounds = 20
)

// Apply fills the table.
func (c *ConntrackOccupy) Apply(ctx context.Context, ns *Namespace) error {
	table, err := ctnetlink.Open()
	if err != nil {
		return err
	}
	c.table = table
	if err := ns.Scope.PushFunc("close ctnetlink", func(context.Context) error { return table.Close() }); err != nil {
		return err
	}
	if err := ns.Scope.Push(undo.Record{ConntrackMark: &undo.ConntrackMark{Mark: occupyMark, Mask: ^uint32(0)}}); err != nil {
		return err
	}
	for range occupyRounds {
		free, err := c.free(ctx)
		if err != nil {
			return err
		}
		if free <= c.Leave {
			return nil
		}
		// Stop exactly at the limit: an entry more would make the kernel log that the table is full.
		filled, err := table.Fill(ctx, free-c.Leave, func(i int) ctnetlink.Entry { return c.entry(c.next + i) })
		c.entries += filled.Made
		c.next += free - c.Leave
		if err != nil && !errors.Is(err, syscall.ENOMEM) {
			return err
		}
	}
	free, err := c.free(ctx)
	if err == nil && free > c.Leave {
		err = fmt.Errorf("%d entries are free after %d were made, wanted %d", free, c.entries, c.Leave)
	}
	return err
}

func (c *ConntrackOccupy) free(ctx context.Context) (int, error) {
	count, err1 := c.table.Count(ctx)
	limit, err2 := c.table.Max(ctx)
	return limit - count, errors.Join(err1, err2)
}

// entry is the nth connection between two addresses of 198.18.0.0/15, which RFC 2544 sets apart for such tests.
func (c *ConntrackOccupy) entry(n int) ctnetlink.Entry {
	address := func(host byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 18, host, byte(n / 60000)}) }
	e := ctnetlink.Entry{
		Proto: syscall.IPPROTO_TCP,
		Orig: ctnetlink.Tuple{
			Src: netip.AddrPortFrom(address(1), uint16(1024+n%60000)),
			Dst: netip.AddrPortFrom(address(2), 443),
		},
		Timeout: occupyTimeout, Mark: occupyMark, Status: ctnetlink.Established, TCPState: ctnetlink.TCPEstablished,
	}
	if c.Unreplied {
		e.Status, e.TCPState = ctnetlink.Confirmed, ctnetlink.TCPSynSent
	}
	return e
}

// Readings: entries is how many entries were made.
func (c *ConntrackOccupy) Readings(context.Context) (map[string]float64, error) {
	return map[string]float64{"entries": float64(c.entries)}, nil
}
