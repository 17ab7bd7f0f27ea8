package hold

import (
	"context"
	"slices"
	"time"
)

// FIN is the policy that holds the segments with FIN of a flow until a RST of the same flow comes, which then goes first, or
// until their time is up. Only one direction of the flows may be caught.
type FIN struct {
	// MaxWait is how long a FIN is held; 0 means 1 s.
	MaxWait time.Duration

	flows flows[ending]
	held  []*heldFIN
}

// ending is a flow: over is whether its FIN was let go already, so that repetitions of it pass.
type ending struct{ over bool }

type heldFIN struct {
	packet Packet
	flow   *ending
	due    time.Time
}

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
		f.held = slices.DeleteFunc(f.held, func(h *heldFIN) bool {
			if h.flow != flow {
				return false
			}
			d.Actions = append(d.Actions, Accept(h.packet))
			d.Groups++
			return true
		})
		flow.over = true
		return d
	case segment.Flags&flagFIN == 0 || flow.over:
		return pass(p, nil)
	}
	f.held = append(f.held, &heldFIN{p, flow, now.Add(orDuration(f.MaxWait, time.Second))})
	return Decision{Kept: 1}
}

// OnTimer lets go what has waited too long.
func (f *FIN) OnTimer(_ context.Context, now time.Time) Decision {
	var d Decision
	f.held = slices.DeleteFunc(f.held, func(h *heldFIN) bool {
		if now.Before(h.due) {
			return false
		}
		h.flow.over = true
		d.Actions = append(d.Actions, Accept(h.packet))
		d.TimedOut++
		return true
	})
	return d
}

// NextTimer is when the FIN that has waited longest is due.
func (f *FIN) NextTimer() time.Time {
	if len(f.held) == 0 {
		return time.Time{}
	}
	return f.held[0].due
}
