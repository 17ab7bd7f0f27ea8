package faults

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// ConntrackOccupy fills a node's own conntrack table through ctnetlink, completely or except for some entries. It has the effect of a
// small table, without changing the limit, which applies to the whole machine.
type ConntrackOccupy struct {
	// Leave is how many entries are left free.
	Leave int `json:"leave" jsonschema:"minimum=0,maximum=2147483647"`
	// Unreplied creates entries of flows that never had an answer, which the kernel evicts when the table is full.
	Unreplied bool `json:"unreplied,omitempty"`

	// Refill is how many expired or deleted entries are created again each second, as if idle connections piled up. Each gets the current
	// time-out of established connections. Default: none.
	Refill int `json:"refill,omitempty" jsonschema:"minimum=0,maximum=200000"`

	table   *ctnetlink.Conn
	next    int // number of the next connection
	entries atomic.Int64
	filling atomic.Bool
	failed  atomic.Pointer[error]
}

const (
	// occupyMark marks the entries, so that exactly they can be deleted.
	occupyMark uint32 = 0x52454c50
	// refillEvery is how often missing entries are created again.
	refillEvery = 20 * time.Millisecond
	// occupyRounds limits how often the free space is checked again: other flows begin and end meanwhile.
	occupyRounds = 20
)

// Apply fills the table, and keeps filling it if Refill is set.
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
		free, err := c.fill(ctx, math.MaxInt)
		if err != nil {
			return err
		}
		if free <= c.Leave {
			return c.goOn(ns)
		}
	}
	return fmt.Errorf("after %d rounds and %d entries more than %d are free", occupyRounds, c.entries.Load(), c.Leave)
}

// goOn keeps the table full until it is undone.
func (c *ConntrackOccupy) goOn(ns *Namespace) error {
	if c.Refill == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	if err := ns.Scope.PushFunc("end the refilling", func(context.Context) error { cancel(); <-done; return nil }); err != nil {
		cancel()
		return err
	}
	c.filling.Store(true)
	go func() {
		defer close(done)
		defer c.filling.Store(false)
		tick := time.NewTicker(refillEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := c.fill(ctx, int(float64(c.Refill)*refillEvery.Seconds())); err != nil && ctx.Err() == nil {
					c.failed.Store(&err)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

// fill makes at most so many entries, and returns how many places were free before.
func (c *ConntrackOccupy) fill(ctx context.Context, most int) (free int, err error) {
	if free, err = room(ctx, c.table); err != nil || free <= c.Leave {
		return free, err
	}
	timeout, err := establishedTimeout()
	if err != nil {
		return free, err
	}
	// Stop exactly at the limit: an entry more would make the kernel log that the table is full.
	n := min(free-c.Leave, most)
	filled, err := c.table.Fill(ctx, n, func(i int) ctnetlink.Entry { return c.entry(c.next+i, timeout) })
	c.entries.Add(int64(filled.Made))
	c.next = (c.next + n) % (1 << 24)
	if errors.Is(err, syscall.ENOMEM) {
		err = nil // others were faster; the next round checks again
	}
	return free, err
}

// establishedTimeout is the kernel's time-out for an established connection.
func establishedTimeout() (time.Duration, error) {
	text, err := undo.ReadSysctl("net.netfilter.nf_conntrack_tcp_timeout_established")
	if err != nil {
		return 0, err
	}
	seconds, err := strconv.Atoi(text)
	return time.Duration(seconds) * time.Second, err
}

// room is how many entries the table has room for.
func room(ctx context.Context, table *ctnetlink.Conn) (int, error) {
	count, err1 := table.Count(ctx)
	limit, err2 := table.Max(ctx)
	return limit - count, errors.Join(err1, err2)
}

// entry is the nth connection between two addresses of 198.18.0.0/15, which RFC 2544 sets apart for such tests.
func (c *ConntrackOccupy) entry(n int, timeout time.Duration) ctnetlink.Entry {
	address := func(host byte) netip.Addr {
		return netip.AddrFrom4([4]byte{198, 18 + host, byte(n / 60000 >> 8), byte(n / 60000)})
	}
	e := ctnetlink.Entry{
		Proto: syscall.IPPROTO_TCP,
		Orig: ctnetlink.Tuple{
			Src: netip.AddrPortFrom(address(0), uint16(1024+n%60000)),
			Dst: netip.AddrPortFrom(address(1), 443),
		},
		Timeout: timeout, Mark: occupyMark, Status: ctnetlink.Established, TCPState: ctnetlink.TCPEstablished,
	}
	if c.Unreplied {
		e.Status, e.TCPState = ctnetlink.Confirmed, ctnetlink.TCPSynSent
	}
	return e
}

// Keys are its numbers.
func (*ConntrackOccupy) Keys() units.Keys {
	return units.Keys{
		"entries": {Means: "entries that were created so far"},
		"free":    {Means: "entries that the table has room for", Kind: units.Gauge},
		"filling": {Means: "1 while missing entries are created again", Kind: units.Share},
	}
}

// Readings looks at the table now.
func (c *ConntrackOccupy) Readings(ctx context.Context) (map[string]float64, error) {
	// A socket of its own: the other one is in use, and of no use any more if this reading is cancelled.
	table, err := ctnetlink.Open()
	if err != nil {
		return nil, err
	}
	defer table.Close()
	free, err := room(ctx, table)
	if err != nil {
		return nil, err
	}
	readings := map[string]float64{"entries": float64(c.entries.Load()), "free": float64(free), "filling": share(c.filling.Load())}
	if err := c.failed.Load(); err != nil {
		return readings, *err
	}
	return readings, nil
}
