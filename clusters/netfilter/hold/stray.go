package hold

import (
	"cmp"
	"context"
	"time"
)

// DefaultStrayOffset is far beyond the upper edge of any window.
const DefaultStrayOffset = 0x20000000

// Stray is the policy that lets all segments pass and sends, once in each flow, a copy of one of them whose sequence number
// is elsewhere. It needs [Spec].InjectMark. Only one direction of the flows may be caught.
type Stray struct {
	// After is after how many segments with data the copy is sent; 0 means 1.
	After int
	// Offset is added to the copy's sequence number; 0 means DefaultStrayOffset.
	Offset int32

	seen flows[int]
}

// strayRoom is how much payload a copy has at most: what was caught may be longer than a packet can be that is sent.
const strayRoom = 1000

// OnPacket counts, and sends the copy behind the segment that it is a copy of.
func (s *Stray) OnPacket(_ context.Context, _ time.Time, p Packet) Decision {
	segment, err := ParseSegment(p.Payload)
	if err != nil {
		return pass(p, err)
	}
	seen := s.seen.of(p.Flow, segment)
	if segment.Data == 0 {
		return pass(p, nil)
	}
	*seen++
	if *seen != cmp.Or(s.After, 1) {
		return pass(p, nil)
	}
	stray, err := moved(p.Payload, segment, cmp.Or(s.Offset, DefaultStrayOffset), strayRoom)
	if err != nil {
		return pass(p, err)
	}
	d := pass(p, nil)
	d.Actions, d.Met = append(d.Actions, Inject(stray)), true
	return d
}

// OnTimer does nothing.
func (s *Stray) OnTimer(context.Context, time.Time) Decision { return Decision{} }

// NextTimer needs none.
func (s *Stray) NextTimer() time.Time { return time.Time{} }
