package hold

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Grouping says which packets make a pair.
type Grouping string

const (
	// BySocket pairs packets of one protocol, source address and source port; the default.
	BySocket Grouping = "socket"
	// BySourcePort pairs packets of one protocol and source port, each from another address. More packets of an address that waits
	// already pass.
	BySourcePort Grouping = "source-port"
)

const (
	// beforeLimit is how long [Pairs].Before may take.
	beforeLimit = time.Second
	// rememberFor and rememberMax bound the memory of [Pairs].OncePerFlow.
	rememberFor = 30 * time.Second
	rememberMax = 4096
)

// Pairs is the policy that holds a packet until a second one arrives that belongs to it, and then releases both. The fields are its
// configuration; a Pairs serves one [Hold].
type Pairs struct {
	// By says which packets make a pair.
	By Grouping
	// Last, when valid, is a source address: its packet is released last. By default the order is that of arrival.
	Last netip.Addr
	// MaxWait is how long a packet waits for its partner before it is released alone; 0 means 50 ms.
	MaxWait time.Duration
	// Before, when set, runs while a pair is held, in order of arrival. An error is counted, and the pair is released all the same.
	// The event loop waits for it, so it should take milliseconds; ctx ends after a second.
	Before func(ctx context.Context, pair []Packet) error
	// OncePerFlow lets later packets of what was paired pass at once (a resolver's retransmission).
	OncePerFlow bool

	waiting backlog[Key]
	known   map[Key]time.Time
	oldest  []Key
}

// OnPacket holds a packet, or releases it with its partner.
func (pl *Pairs) OnPacket(ctx context.Context, now time.Time, p Packet) Decision {
	if p.FlowErr != nil {
		return pass(p, p.FlowErr)
	}
	key := p.Flow.Key()
	if pl.By == BySourcePort {
		key.Src = netip.AddrPortFrom(netip.Addr{}, key.Src.Port())
	}
	if pl.OncePerFlow && now.Before(pl.known[key]) {
		return pass(p, nil)
	}
	first := slices.IndexFunc(pl.waiting, func(k kept[Key]) bool { return k.of == key })
	if first < 0 {
		return pl.waiting.keep(now, p, cmp.Or(pl.MaxWait, 50*time.Millisecond), key)
	}
	partner := pl.waiting[first].packet
	if pl.By == BySourcePort && partner.Flow.Src == p.Flow.Src {
		return pass(p, nil)
	}
	pl.waiting = slices.Delete(pl.waiting, first, first+1)
	pl.remember(now, key)
	return pl.release(ctx, partner, p)
}

func (pl *Pairs) release(ctx context.Context, first, second Packet) Decision {
	d := Decision{Groups: 1, Met: true}
	if pl.Before != nil {
		ctx, cancel := context.WithTimeout(ctx, beforeLimit)
		defer cancel()
		if err := pl.Before(ctx, []Packet{first, second}); err != nil {
			d.Err = fmt.Errorf("before the release of %s: %w", first.Flow, err)
			d.Met = false
		}
	}
	if pl.Last.IsValid() && first.Flow.Src.Addr() == pl.Last {
		first, second = second, first
	}
	d.Actions = []Action{Accept(first), Accept(second)}
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
	pl.known[key] = now.Add(rememberFor)
	pl.oldest = append(pl.oldest, key)
	for len(pl.oldest) > rememberMax || !now.Before(pl.known[pl.oldest[0]]) {
		delete(pl.known, pl.oldest[0])
		pl.oldest = pl.oldest[1:]
	}
}

// OnTimer releases what has waited too long.
func (pl *Pairs) OnTimer(_ context.Context, now time.Time) Decision {
	d := pl.waiting.releaseDue(now)
	d.Singles = d.TimedOut
	return d
}

// NextTimer is when the packet that has waited longest is due.
func (pl *Pairs) NextTimer() time.Time { return pl.waiting.next() }
