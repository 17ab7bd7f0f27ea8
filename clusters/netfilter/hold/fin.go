package hold

import (
	"cmp"
	"context"
	"time"
)

// FIN is the policy that holds the FIN segments of a flow until a RST of the same flow arrives, which is then sent first, or until
// MaxWait. Only one direction of the flows may be caught.
type FIN struct {
	// MaxWait is how long a FIN is held; 0 means 1 s.
	MaxWait time.Duration

	flows flows[ending]
	held  backlog[*ending]
}

// ending is a flow. Met means that a FIN of it was held, over that its FIN was released already, so that retransmissions of it pass.
type ending struct{ met, over bool }

// OnPacket holds a FIN, and releases the FINs of a flow after its RST.
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
	d := f.held.keep(now, p, cmp.Or(f.MaxWait, time.Second), flow)
	d.Met, flow.met = !flow.met, true
	return d
}

// OnTimer releases packets that have waited too long.
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
