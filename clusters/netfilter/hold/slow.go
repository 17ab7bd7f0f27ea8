package hold

import (
	"context"
	"sync/atomic"
	"time"
)

// Slow is the policy of a program that has too little time: it lets packets pass in their order, only so many each second. The others
// wait in the queue.
type Slow struct {
	// Rate is how many pass each second; 0 means none. It may change at any time.
	Rate atomic.Int64

	waiting       []Packet
	last, checked time.Time
}

// recheck is how soon a program that lets nothing pass hears of another rate.
const recheck = 50 * time.Millisecond

// OnPacket lets it wait.
func (s *Slow) OnPacket(ctx context.Context, now time.Time, p Packet) Decision {
	p.Payload = nil
	s.waiting = append(s.waiting, p)
	d := s.OnTimer(ctx, now)
	d.Kept = 1
	return d
}

// OnTimer lets those pass for which there was time.
func (s *Slow) OnTimer(_ context.Context, now time.Time) (d Decision) {
	s.checked = now
	rate := s.Rate.Load()
	if rate == 0 {
		return d
	}
	if now.Sub(s.last) > time.Second {
		s.last = now.Add(-time.Second / time.Duration(rate)) // time that was not used is lost
	}
	for len(s.waiting) > 0 && now.Sub(s.last) >= time.Second/time.Duration(rate) {
		s.last = s.last.Add(time.Second / time.Duration(rate))
		d.Actions = append(d.Actions, Accept(s.waiting[0]))
		d.Groups++
		s.waiting = s.waiting[1:]
	}
	return d
}

// NextTimer is when the next one may pass.
func (s *Slow) NextTimer() time.Time {
	if len(s.waiting) == 0 {
		return time.Time{}
	}
	return s.checked.Add(min(recheck, time.Second/time.Duration(max(1, s.Rate.Load()))))
}
