package faults

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
	"github.com/relapse-k8s/relapse/faults/hold"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// HoldPairs holds the first two packets of each new flow between DNAT and confirmation and releases them together: the
// window of the race between two packets of one socket, open every time.
type HoldPairs struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the destination port.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// MaxWait is how long a packet may wait for its partner. Default: 20ms.
	MaxWait scenario.Duration `json:"maxWait,omitempty"`
	// Clash makes the kernel unable to repair the race: just before the release an entry is created whose reply tuple is
	// that of the later packet, so that the kernel's own code drops it.
	Clash bool `json:"clash,omitempty"`

	hold  *hold.Hold
	table *ctnetlink.Conn
	armed atomic.Bool
	seq   atomic.Uint32
	clash atomic.Uint64
}

// clashTimeout is how long the clashing entry lives: well under the 5 s after which a resolver asks again.
const clashTimeout = 2 * time.Second

// Apply arms the hold.
func (c *HoldPairs) Apply(_ context.Context, ns *Namespace) error {
	pairs := &hold.Pairs{MaxWait: cmp.Or(c.MaxWait.Std(), 20*time.Millisecond), OncePerFlow: true}
	if c.Clash {
		table, err := ctnetlink.Open()
		if err != nil {
			return err
		}
		c.table = table
		if err := ns.Scope.PushFunc("close ctnetlink", func(context.Context) error { return table.Close() }); err != nil {
			return err
		}
		pairs.Before = c.forceClash
	}
	// The hold outlives this request: it ends with its undo.
	var h *hold.Hold
	if err := ns.Scope.PushFunc("end the hold", func(context.Context) error {
		if h == nil {
			return nil
		}
		c.armed.Store(false)
		return h.Close()
	}); err != nil {
		return err
	}
	started, err := hold.Start(context.Background(), hold.Spec{
		Name:     ns.Name,
		Queue:    uint16(hash32(ns.Name)),
		Match:    hold.Match{Proto: protocolNumber(c.Protocol), DstPort: uint16(c.Port), New: true},
		Hook:     hold.Postrouting,
		Priority: 300, // after the choice of source ports (100), before confirmation
		Policy:   pairs,
	})
	if err != nil {
		return err
	}
	h, c.hold = started, started
	c.armed.Store(true)
	return nil
}

// forceClash takes the reply tuple of the later packet, so that its confirmation cannot succeed. Two packets that were sent
// to one backend have one reply tuple: then the entry hits both, which a resolver cannot tell apart.
func (c *HoldPairs) forceClash(ctx context.Context, group []hold.Packet) ([]hold.Action, error) {
	loser := group[len(group)-1].Flow
	n := c.seq.Add(1)
	unused := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + n%250)})
	entry := ctnetlink.Entry{
		Proto: loser.Proto,
		Orig: ctnetlink.Tuple{
			Src: netip.AddrPortFrom(unused, uint16(1024+n%60000)),
			Dst: netip.AddrPortFrom(unused, 9),
		},
		Reply:   ctnetlink.Tuple{Src: loser.Dst, Dst: loser.Src},
		Timeout: clashTimeout,
		Status:  ctnetlink.Confirmed,
		NATDone: true, // else a kernel may merge the two entries
	}
	if err := c.table.Create(ctx, entry); err != nil {
		return nil, fmt.Errorf("clashing entry %s: %w", entry, err)
	}
	c.clash.Add(1)
	return nil, nil
}

// Readings: armed is 1 while packets would be held; matched counts packets that the kernel's rule caught, pairs the pairs
// that were released together, singles the packets that waited in vain, clashes the entries that were created.
func (c *HoldPairs) Readings(ctx context.Context) (map[string]float64, error) {
	stats, err := c.hold.Stats(ctx)
	if err != nil {
		return nil, err
	}
	readings := map[string]float64{
		"armed": 0, "matched": float64(stats.Matched), "pairs": float64(stats.Groups), "singles": float64(stats.Singles),
		"clashes": float64(c.clash.Load()), "errors": float64(stats.Errors),
	}
	select {
	case <-c.hold.Done():
	default:
		if c.armed.Load() {
			readings["armed"] = 1
		}
	}
	if stats.LastError != "" {
		return readings, fmt.Errorf("hold: %s", stats.LastError)
	}
	return readings, nil
}

func protocolNumber(name string) uint8 {
	if name == "udp" {
		return syscall.IPPROTO_UDP
	}
	return syscall.IPPROTO_TCP
}
