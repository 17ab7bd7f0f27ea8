package hold

import (
	"slices"
	"time"
)

// backlog holds the packets that a policy keeps, in order of arrival, each with the policy's data about it.
type backlog[T any] []kept[T]

type kept[T any] struct {
	packet Packet
	of     T
	due    time.Time
}

// keep adds a packet, for at most wait.
func (b *backlog[T]) keep(now time.Time, p Packet, wait time.Duration, of T) Decision {
	*b = append(*b, kept[T]{p, of, now.Add(wait)})
	return Decision{Kept: 1}
}

// release releases the picked packets, in their order, and returns their number.
func (b *backlog[T]) release(d *Decision, pick func(kept[T]) bool) (released int) {
	*b = slices.DeleteFunc(*b, func(k kept[T]) bool {
		if !pick(k) {
			return false
		}
		d.Actions = append(d.Actions, Accept(k.packet))
		released++
		return true
	})
	return released
}

// releaseDue releases the packets that have waited too long.
func (b *backlog[T]) releaseDue(now time.Time) (d Decision) {
	d.TimedOut = b.release(&d, func(k kept[T]) bool { return !now.Before(k.due) })
	return d
}

// next is when the packet that has waited longest is due.
func (b backlog[T]) next() time.Time {
	if len(b) == 0 {
		return time.Time{}
	}
	return b[0].due
}
