package hold

import (
	"context"
	"time"
)

// Reorder is the policy that keeps some segments with data back until others of the same flow have overtaken them. Only one
// direction of the flows may be caught.
type Reorder struct {
	// Distance is how many segments with data overtake one that is kept back; 0 means 3.
	Distance int
	// Every is which segments are kept back: each Every-th of a flow; 0 means 10.
	Every int
	// MaxWait is how long one is kept back when too few follow; 0 means 50 ms.
	MaxWait time.Duration

	of   flows[reordered]
	kept backlog[late]
}

type reordered struct{ seen int }

// late is of a segment that is kept back.
type late struct {
	flow *reordered
	// after is the number of the segment behind which it goes.
	after int
}

// OnPacket keeps a segment back, or lets it pass and with it those that it is the last one to overtake.
func (r *Reorder) OnPacket(_ context.Context, now time.Time, p Packet) Decision {
	segment, err := ParseSegment(p.Payload)
	if err != nil {
		return pass(p, err)
	}
	flow := r.of.of(p.Flow, segment)
	if segment.Data == 0 {
		return pass(p, nil)
	}
	flow.seen++
	if flow.seen%orInt(r.Every, 10) == 0 {
		return r.kept.keep(now, p, orDuration(r.MaxWait, 50*time.Millisecond), late{flow, flow.seen + orInt(r.Distance, 3)})
	}
	d := pass(p, nil)
	d.Groups = r.kept.release(&d, func(k kept[late]) bool { return k.of.flow == flow && k.of.after <= flow.seen })
	return d
}

// OnTimer lets go what has waited too long.
func (r *Reorder) OnTimer(_ context.Context, now time.Time) Decision {
	var d Decision
	d.TimedOut = r.kept.release(&d, func(k kept[late]) bool { return !now.Before(k.due) })
	return d
}

// NextTimer is when the segment that was kept back first is due.
func (r *Reorder) NextTimer() time.Time { return r.kept.next() }
