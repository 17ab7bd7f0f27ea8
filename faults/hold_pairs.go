package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
	"github.com/relapse-k8s/relapse/faults/hold"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// HoldPairs holds the first two packets that belong together until both are there, and releases them together. Between the
// choice of a translation and its confirmation that is the window of a race in conntrack, open every time.
type HoldPairs struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the destination port.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// At is where they are held: postrouting is behind every translation and just before confirmation; forward is before source
	// addresses are translated, so that packets meet that pass the rest of the way one right after the other. Default: postrouting.
	At string `json:"at,omitempty" jsonschema:"enum=postrouting,enum=forward"`
	// By says which packets belong together: those of one socket, or those of one source port and two addresses. Default: socket.
	By string `json:"by,omitempty" jsonschema:"enum=socket,enum=source-port"`
	// Last is a pod whose packet is released last, before its address is translated. Default: in order of arrival.
	Last string `json:"last,omitempty" ref:"pod"`
	// MaxWait is how long a packet may wait for its partner. Default: 10ms.
	MaxWait scenario.Duration `json:"maxWait,omitempty"`
	// Clash makes the kernel unable to repair the race: just before the release an entry is created whose reply tuple is
	// that of the later packet, so that the kernel's own code drops it.
	Clash bool `json:"clash,omitempty"`

	holding holding
	table   *ctnetlink.Conn
	seq     atomic.Uint32
	clash   atomic.Uint64
}

// clashTimeout is how long the clashing entry lives: well under the 5 s after which a resolver asks again.
const clashTimeout = 2 * time.Second

// Validate refuses an order that nobody could tell.
func (c *HoldPairs) Validate() error {
	if c.Last != "" && c.At != "forward" {
		return errors.New("last needs at: forward, where packets still have their pod's address")
	}
	return nil
}

// NeedsAddresses names the pod that must be told by its address.
func (c *HoldPairs) NeedsAddresses() []string {
	if c.Last == "" {
		return nil
	}
	return []string{c.Last}
}

// Apply arms the hold.
func (c *HoldPairs) Apply(_ context.Context, ns *Namespace) error {
	pairs := &hold.Pairs{
		MaxWait: cmp.Or(c.MaxWait.Std(), 10*time.Millisecond), OncePerFlow: true, By: hold.Grouping(c.By), Last: ns.Addresses[c.Last],
	}
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
	spec := hold.Spec{
		Match:    hold.Match{Proto: protocolNumber(c.Protocol), DstPort: uint16(c.Port), New: true},
		Hook:     hold.Postrouting,
		Priority: 300, // after the choice of source ports (100), before confirmation
		Policy:   pairs,
	}
	if c.At == "forward" {
		spec.Hook, spec.Priority = hold.Forward, 0
	}
	return c.holding.start(ns, spec)
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
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{
			"matched": float64(s.Matched), "pairs": float64(s.Groups), "singles": float64(s.Singles),
			"clashes": float64(c.clash.Load()), "errors": float64(s.Errors),
		}
	})
}

func protocolNumber(name string) uint8 {
	if name == "udp" {
		return syscall.IPPROTO_UDP
	}
	return syscall.IPPROTO_TCP
}
