package hold

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Order is the order in which a group is released.
type Order string

const (
	// Arrival releases first come first; the default.
	Arrival Order = "arrival"
	// Reverse releases last come first.
	Reverse Order = "reverse"
)

// Grouping says which packets belong together.
type Grouping string

const (
	// BySocket groups packets of one protocol, source address and source port; the default.
	BySocket Grouping = "socket"
	// BySourcePort groups packets of one protocol and source port, each from another address. More of an address that is in the
	// group already pass.
	BySourcePort Grouping = "source-port"
)

// Pairs is the policy that collects packets that belong together until there are Size of them and then releases them
// together. The fields are its configuration; a Pairs serves one [Hold].
type Pairs struct {
	// Size is how many packets make a group; 0 means 2.
	Size int
	// By says which packets make one.
	By Grouping
	// Last, when valid, is a source address: packets from it are released behind the others of their group.
	Last netip.Addr
	// MaxWait is how long the first packet of an incomplete group waits before it is released as it is; 0 means 50 ms.
	MaxWait time.Duration
	// Order is used unless Before says otherwise.
	Order Order
	// Before, when set, runs while a complete group is held, in order of arrival. Its actions are done in their order;
	// packets that it does not name are accepted afterwards in Order. On an error it is counted and all are accepted.
	// The event loop waits for it, so it should take milliseconds; ctx ends after BeforeTimeout.
	Before func(ctx context.Context, group []Packet) ([]Action, error)
	// BeforeTimeout bounds Before; 0 means 1 s.
	BeforeTimeout time.Duration
	// OncePerFlow lets later packets of what was grouped pass at once (a resolver's retransmission).
	OncePerFlow bool
	// RememberFor and RememberMax bound the memory of OncePerFlow; 0 means 30 s and 4096 flows.
	RememberFor time.Duration
	RememberMax int

	groups map[Key]*group
	known  map[Key]time.Time
	oldest []Key
}

type group struct {
	packets []Packet
	due     time.Time
}

// OnPacket collects.
func (pl *Pairs) OnPacket(ctx context.Context, now time.Time, p Packet) Decision {
	if p.FlowErr != nil {
		return Decision{Actions: []Action{Accept(p)}, Passed: 1, Err: fmt.Errorf("packet %d: %w", p.ID, p.FlowErr)}
	}
	key := p.Flow.Key()
	if pl.By == BySourcePort {
		key.Src = netip.AddrPortFrom(netip.Addr{}, key.Src.Port())
	}
	if pl.OncePerFlow && now.Before(pl.known[key]) {
		return Decision{Actions: []Action{Accept(p)}, Passed: 1}
	}
	g := pl.groups[key]
	if g != nil && pl.By == BySourcePort && slices.ContainsFunc(g.packets, func(other Packet) bool { return other.Flow.Src == p.Flow.Src }) {
		return Decision{Actions: []Action{Accept(p)}, Passed: 1}
	}
	if g == nil {
		g = &group{due: now.Add(orDuration(pl.MaxWait, 50*time.Millisecond))}
		if pl.groups == nil {
			pl.groups = map[Key]*group{}
		}
		pl.groups[key] = g
	}
	g.packets = append(g.packets, p)
	if len(g.packets) < orInt(pl.Size, 2) {
		return Decision{}
	}
	delete(pl.groups, key)
	pl.remember(now, key)
	return pl.release(ctx, g.packets)
}

func (pl *Pairs) release(ctx context.Context, packets []Packet) Decision {
	d := Decision{Groups: 1}
	named := map[uint32]bool{}
	if pl.Before != nil {
		ctx, cancel := context.WithTimeout(ctx, orDuration(pl.BeforeTimeout, time.Second))
		actions, err := pl.Before(ctx, slices.Clone(packets))
		cancel()
		if err != nil {
			actions, d.Err = nil, fmt.Errorf("before the release of %s: %w", packets[0].Flow, err)
		}
		for _, a := range actions {
			named[a.verdict.ID] = true
		}
		d.Actions = actions
	}
	rest := slices.Clone(packets)
	if pl.Order == Reverse {
		slices.Reverse(rest)
	}
	isLast := func(p Packet) bool { return pl.Last.IsValid() && p.Flow.Src.Addr() == pl.Last }
	slices.SortStableFunc(rest, func(a, b Packet) int {
		switch {
		case isLast(a) == isLast(b):
			return 0
		case isLast(a):
			return 1
		}
		return -1
	})
	for _, p := range rest {
		if !named[p.ID] {
			d.Actions = append(d.Actions, Accept(p))
		}
	}
	return d
}

func (pl *Pairs) remember(now time.Time, key Key) {
	if !pl.OncePerFlow {
		return
	}
	if pl.known == nil {
		pl.known = map[Key]time.Time{}
	}
	if _, again := pl.known[key]; again {
		pl.oldest = slices.DeleteFunc(pl.oldest, func(k Key) bool { return k == key })
	}
	pl.known[key] = now.Add(orDuration(pl.RememberFor, 30*time.Second))
	pl.oldest = append(pl.oldest, key)
	for len(pl.oldest) > orInt(pl.RememberMax, 4096) || !now.Before(pl.known[pl.oldest[0]]) {
		delete(pl.known, pl.oldest[0])
		pl.oldest = pl.oldest[1:]
	}
}

// OnTimer releases what has waited too long.
func (pl *Pairs) OnTimer(_ context.Context, now time.Time) Decision {
	var d Decision
	var late []Packet
	for key, g := range pl.groups {
		if now.Before(g.due) {
			continue
		}
		delete(pl.groups, key)
		late = append(late, g.packets...)
		if len(g.packets) == 1 {
			d.Singles++
		}
	}
	slices.SortFunc(late, func(a, b Packet) int { return a.Arrived.Compare(b.Arrived) })
	for _, p := range late {
		d.Actions = append(d.Actions, Accept(p))
	}
	d.TimedOut = len(late)
	return d
}

// NextTimer is when the oldest incomplete group is due.
func (pl *Pairs) NextTimer() time.Time {
	var next time.Time
	for _, g := range pl.groups {
		if next.IsZero() || g.due.Before(next) {
			next = g.due
		}
	}
	return next
}

func orInt(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}

func orDuration(v, def time.Duration) time.Duration {
	if v == 0 {
		return def
	}
	return v
}
