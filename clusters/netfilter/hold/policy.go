package hold

import (
	"context"
	"time"
)

// Policy decides what happens to caught packets. The engine calls it from one goroutine, so it needs no locks, and tracks
// every packet itself: one that the policy never names is accepted when the hold ends or after [Spec].MaxHold.
//
// A policy needs no kernel and no clock of its own: it takes packets and times in and gives actions out.
type Policy interface {
	// OnPacket is called for each packet. A packet that the decision does not name stays held.
	OnPacket(ctx context.Context, now time.Time, p Packet) Decision
	// OnTimer is called at or after NextTimer.
	OnTimer(ctx context.Context, now time.Time) Decision
	// NextTimer is the time at which OnTimer must be called; the zero time means never. It is called after every other call.
	NextTimer() time.Time
}

// Decision is a policy's answer.
type Decision struct {
	// Actions are done in this order.
	Actions []Action
	// Changed are new payloads of packets that Actions accepts, by their ID.
	Changed map[uint32][]byte
	// Groups, Singles and TimedOut (all in packets or groups of packets, see [Stats]) are added to the statistics.
	Groups, Singles, TimedOut int
	// Passed is the number of packets that were let through without being held, Kept that of those that are held.
	Passed, Kept int
	// Met is whether the policy did to the packet's flow what it is for: the first time in this flow, see [Hold.Meetings].
	Met bool
	// Err is counted and kept as the last error. The actions are done even then.
	Err error
}

// Action accepts a held packet, or injects one of our own.
type Action struct {
	accept uint32
	inject []byte
}

// Accept releases a held packet.
func Accept(p Packet) Action { return Action{accept: p.ID} }

// Inject sends a packet of our own, from the IP header on, from this namespace: it takes the way of a locally made packet
// (output, postrouting). Needs [Spec].InjectMark.
func Inject(payload []byte) Action { return Action{inject: payload} }

// Pass is the policy that accepts everything at once. It measures the cost of the way through user space.
type Pass struct{}

// OnPacket accepts.
func (Pass) OnPacket(_ context.Context, _ time.Time, p Packet) Decision {
	return pass(p, nil)
}

// OnTimer does nothing.
func (Pass) OnTimer(context.Context, time.Time) Decision { return Decision{} }

// NextTimer needs none.
func (Pass) NextTimer() time.Time { return time.Time{} }
