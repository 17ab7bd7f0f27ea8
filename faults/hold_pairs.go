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

	"github.com/relapse-k8s/relapse/clusters/agent/changes"
	"github.com/relapse-k8s/relapse/clusters/agent/units"

	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// HoldPairs holds the first two packets of a pair until both are there, and releases them together. Between the choice of a translation
// and its confirmation, this makes a race in conntrack happen every time.
type HoldPairs struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the destination port.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// At is the point at which they are held: postrouting is after every translation and just before confirmation; forward is before source
	// addresses are translated, and makes both packets arrive at the next steps one right after the other. Default: postrouting.
	At string `json:"at,omitempty" jsonschema:"enum=postrouting,enum=forward"`
	// By says which packets are a pair: those of one socket, or those of one source port and two addresses. Default: socket.
	By string `json:"by,omitempty" jsonschema:"enum=socket,enum=source-port"`
	// Last is the pod whose packet is released last; it needs at: forward. Default: in order of arrival.
	Last string `json:"last,omitempty" ref:"pod"`
	// MaxWait is how long a packet may wait for its partner. Default: 500ms, which is longer than a busy machine keeps a sender waiting between
	// two packets, and much shorter than a resolver's time-out.
	MaxWait units.Duration `json:"maxWait,omitempty"`
	// Clash prevents the kernel from repairing the race: just before the release, an entry with the reply tuple of the later packet is
	// created, so that the kernel's own code drops that packet.
	Clash bool `json:"clash,omitempty"`

	holding holding
	table   *ctnetlink.Conn
	seq     atomic.Uint32
	clash   atomic.Uint64
}

// clashTimeout is how long the clashing entry lives: well under the 5 s after which a resolver asks again.
const clashTimeout = 2 * time.Second

// Validate limits the time, and refuses last if the order could not be decided.
func (c *HoldPairs) Validate() error {
	if c.Last != "" && c.At != "forward" {
		return errors.New("last needs at: forward, because only there packets still have their pod's address")
	}
	return atMost("maxWait", c.MaxWait, longestHold)
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
		MaxWait: cmp.Or(c.MaxWait.Std(), 500*time.Millisecond), OncePerFlow: true, By: hold.Grouping(c.By), Last: ns.Addresses[c.Last],
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
func (c *HoldPairs) forceClash(ctx context.Context, pair []hold.Packet) error {
	loser := pair[1].Flow
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
		return fmt.Errorf("clashing entry %s: %w", entry, err)
	}
	c.clash.Add(1)
	return nil
}

// Meetings are the flows of the pairs.
func (c *HoldPairs) Meetings() (met []changes.Meeting, trouble string) { return c.holding.meetings() }

// Keys are its numbers.
func (*HoldPairs) Keys() units.Keys {
	return holdingKeys(units.Keys{
		"matched": {Means: "packets that the kernel's rule matched"}, "pairs": {Means: "pairs that were released together"},
		"singles": {Means: "packets whose partner did not arrive"}, "clashes": {Means: "entries that were created"},
	})
}

// Readings are the hold's numbers.
func (c *HoldPairs) Readings(ctx context.Context) (map[string]float64, error) {
	return c.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{
			"matched": float64(s.Matched), "pairs": float64(s.Groups), "singles": float64(s.Singles),
			"clashes": float64(c.clash.Load()),
		}
	})
}

func protocolNumber(name string) uint8 {
	if name == "udp" {
		return syscall.IPPROTO_UDP
	}
	return syscall.IPPROTO_TCP
}
