package hold

import (
	"context"
	"time"
)

// Policy decides what happens to caught packets. The engine calls it from one goroutine, so it needs no locks, and tracks
// every packet itself: one that the policy never names is accepted when the hold ends or after [Spec].MaxHold.
//
// A policy needs no kernel and no clock of its own: it takes packets and times in and gives actions out. Examples of what
// fits: a fixed delay (remember the packet, NextTimer is its due time), reordering by a distance (accept packet n after
// n+d), drop the nth (return Drop), hold a FIN until the flow's next packet, inject before or after (return Inject beside
// Accept, in the wanted order).
type Policy interface {
	// OnPacket is called for each packet. A packet that is not named in the answer stays held.
	OnPacket(ctx context.Context, now time.Time, p Packet) Decision
	// OnTimer is called at or after NextTimer.
	OnTimer(ctx context.Context, now time.Time) Decision
	// NextTimer is when OnTimer wants to be called; the zero time means not at all. Asked after every call.
	NextTimer() time.Time
}

// Decision is a policy's answer.
type Decision struct {
	// Actions are done in this order.
	Actions []Action
	// Groups, Singles and TimedOut (all in packets or groups of packets, see [Stats]) are added to the statistics.
	Groups, Singles, TimedOut int
	// Passed is the number of packets that were let through without being held, Kept that of those that are held.
	Passed, Kept int
	// Err is counted and kept as the last error; the actions are done all the same.
	Err error
}

// Action is a verdict on a packet, or a packet to inject.
type Action struct {
	verdict Verdict
	inject  []byte
}

// Accept lets a held packet go on.
func Accept(p Packet) Action { return Action{verdict: Verdict{ID: p.ID, Code: CodeAccept}} }

// AcceptMarked lets a held packet go on with a packet mark.
func AcceptMarked(p Packet, mark uint32) Action {
	return Action{verdict: Verdict{ID: p.ID, Code: CodeAccept, Mark: &mark}}
}

// AcceptChanged lets a held packet go on with another content, from the IP header on; see [FixChecksums].
func AcceptChanged(p Packet, payload []byte) Action {
	return Action{verdict: Verdict{ID: p.ID, Code: CodeAccept, Payload: payload}}
}

// Drop drops a held packet.
func Drop(p Packet) Action { return Action{verdict: Verdict{ID: p.ID, Code: CodeDrop}} }

// Inject sends a packet of our own, from the IP header on, from this namespace: it takes the way of a locally made packet
// (output, postrouting). Needs [Spec].InjectMark.
func Inject(payload []byte) Action { return Action{inject: payload} }

// Pass is the policy that accepts everything at once: it measures what the way through user space costs.
type Pass struct{}

// OnPacket accepts.
func (Pass) OnPacket(_ context.Context, _ time.Time, p Packet) Decision {
	return Decision{Actions: []Action{Accept(p)}, Passed: 1}
}

// OnTimer does nothing.
func (Pass) OnTimer(context.Context, time.Time) Decision { return Decision{} }

// NextTimer wants none.
func (Pass) NextTimer() time.Time { return time.Time{} }
