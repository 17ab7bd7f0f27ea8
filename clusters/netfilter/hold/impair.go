package hold

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

// Delay is the policy that lets every packet wait, and some of them longer than others, which then overtake them.
type Delay struct {
	// For is how long a packet waits at least, Jitter how much longer it waits at most.
	For, Jitter time.Duration
	// Random is where the differences come from.
	Random *rand.Rand

	waiting backlog[struct{}]
}

// OnPacket keeps it, and the packets in the order in which they are due.
func (d *Delay) OnPacket(_ context.Context, now time.Time, p Packet) Decision {
	wait := d.For
	if d.Jitter > 0 {
		wait += time.Duration(d.Random.Int64N(int64(d.Jitter)))
	}
	decision := d.waiting.keep(now, p, wait, struct{}{})
	slices.SortStableFunc(d.waiting, func(a, b kept[struct{}]) int { return a.due.Compare(b.due) })
	return decision
}

// OnTimer releases those that are due.
func (d *Delay) OnTimer(_ context.Context, now time.Time) Decision { return d.waiting.releaseDue(now) }

// NextTimer is when the next one is due.
func (d *Delay) NextTimer() time.Time { return d.waiting.next() }

// Duplicate is the policy that sends each packet twice. It needs [Spec].InjectMark and [Spec].Segments.
type Duplicate struct{ Pass }

// OnPacket lets it pass, and sends it again.
func (Duplicate) OnPacket(_ context.Context, _ time.Time, p Packet) Decision {
	d := pass(p, p.FlowErr)
	d.Actions = append(d.Actions, Inject(p.Payload))
	return d
}

// Corrupt is the policy that turns over the last bit of each packet, and leaves its checksum alone. It needs [Spec].Segments.
type Corrupt struct{ Pass }

// OnPacket lets it pass with the other bit.
func (Corrupt) OnPacket(_ context.Context, _ time.Time, p Packet) Decision {
	d := pass(p, nil)
	changed := slices.Clone(p.Payload)
	changed[len(changed)-1] ^= 1
	d.Changed = map[uint32][]byte{p.ID: changed}
	return d
}
