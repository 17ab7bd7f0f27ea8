package hold

import (
	"cmp"
	"context"
	"time"
)

// Reorder is the policy that holds some segments with data until others of the same flow have overtaken them. Only one direction of the
// flows may be caught.
type Reorder struct {
	// Distance is how many segments with data overtake a held one; 0 means 3.
	Distance int
	// Every says which segments are held: every Every-th of a flow; 0 means 10.
	Every int
	// MaxWait is how long a segment is held if too few follow; 0 means 50 ms.
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

// OnPacket holds a segment, or lets it pass together with those that it is the last one to overtake.
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
	if flow.seen%cmp.Or(r.Every, 10) == 0 {
		d := r.kept.keep(now, p, cmp.Or(r.MaxWait, 50*time.Millisecond), late{flow, flow.seen + cmp.Or(r.Distance, 3)})
		d.Met = flow.seen == cmp.Or(r.Every, 10)
		return d
	}
	d := pass(p, nil)
	d.Groups = r.kept.release(&d, func(k kept[late]) bool { return k.of.flow == flow && k.of.after <= flow.seen })
	return d
}

// OnTimer releases segments that have waited too long.
func (r *Reorder) OnTimer(_ context.Context, now time.Time) Decision {
	return r.kept.releaseDue(now)
}

// NextTimer is when the segment that was kept back first is due.
func (r *Reorder) NextTimer() time.Time { return r.kept.next() }
