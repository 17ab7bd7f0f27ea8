package hold

import (
	"slices"
	"time"
)

// backlog are packets that a policy keeps, in order of arrival and so of their time, each with what the policy knows of it.
type backlog[T any] []kept[T]

type kept[T any] struct {
	packet Packet
	of     T
	due    time.Time
}

// keep adds a packet, for no longer than wait.
func (b *backlog[T]) keep(now time.Time, p Packet, wait time.Duration, of T) Decision {
	*b = append(*b, kept[T]{p, of, now.Add(wait)})
	return Decision{Kept: 1}
}

// release lets go the packets that are picked, in their order, and says how many they were.
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

// next is when the packet that has waited longest is due.
func (b backlog[T]) next() time.Time {
	if len(b) == 0 {
		return time.Time{}
	}
	return b[0].due
}
