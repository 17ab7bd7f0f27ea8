package hold

import (
	"context"
	"time"
)

// FIN is the policy that holds the segments with FIN of a flow until a RST of the same flow comes, which then goes first, or
// until their time is up. Only one direction of the flows may be caught.
type FIN struct {
	// MaxWait is how long a FIN is held; 0 means 1 s.
	MaxWait time.Duration

	flows flows[ending]
	held  backlog[*ending]
}

// ending is a flow: over is whether its FIN was let go already, so that repetitions of it pass.
type ending struct{ over bool }

// OnPacket holds a FIN, and lets those of a flow go behind its RST.
func (f *FIN) OnPacket(_ context.Context, now time.Time, p Packet) Decision {
	segment, err := ParseSegment(p.Payload)
	if err != nil {
		return pass(p, err)
	}
	flow := f.flows.of(p.Flow, segment)
	switch {
	case segment.Flags&flagRST != 0:
		d := pass(p, nil)
		d.Groups = f.held.release(&d, func(h kept[*ending]) bool { return h.of == flow })
		flow.over = true
		return d
	case segment.Flags&flagFIN == 0 || flow.over:
		return pass(p, nil)
	}
	return f.held.keep(now, p, orDuration(f.MaxWait, time.Second), flow)
}

// OnTimer lets go what has waited too long.
func (f *FIN) OnTimer(_ context.Context, now time.Time) Decision {
	var d Decision
	d.TimedOut = f.held.release(&d, func(h kept[*ending]) bool {
		late := !now.Before(h.due)
		h.of.over = h.of.over || late
		return late
	})
	return d
}

// NextTimer is when the FIN that has waited longest is due.
func (f *FIN) NextTimer() time.Time { return f.held.next() }
