package hold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Spec describes a hold.
type Spec struct {
	// Name is the name of the nft table (family ip), with the caller's prefix and run id in it.
	Name string
	// Queue is the number of the NFQUEUE. Each hold needs its own.
	Queue uint16
	// Match, Hook and Priority say which packets are held and where.
	Match    Match
	Hook     Hook
	Priority int32
	// Policy decides what happens to them.
	Policy Policy
	// MaxHold is the longest time that any packet is held, whatever the policy does; 0 means 5 s.
	MaxHold time.Duration
	// InjectMark, if not 0, allows [Inject]: injected packets have this mark, and the rule excludes it.
	InjectMark uint32
	// Untracked hides injected packets from conntrack, so that a copy of a translated packet is not translated once more.
	Untracked bool
	// Length is how many packets may wait in the queue; 0 means 4096. A full queue passes packets on, or drops them if Drops is set.
	Length uint32
	Drops  bool
	// Segments is set to get packets as they are on the wire, with their checksums, and not one that stands for many (GSO).
	Segments bool
	// Via selects the way from the rule to the queue. Empty uses what the kernel supports.
	Via Via
}

// Stats are counted since Start.
type Stats struct {
	// Matched is the number of packets that the kernel's rule caught.
	Matched uint64
	// Received is the number of packets that reached the policy.
	Received uint64
	// Held is the number of packets that are held now.
	Held uint64
	// Groups is the number of complete groups that were released together, or of held packets that were released after those that had to go
	// first.
	Groups uint64
	// Singles is the number of packets that were released alone because no partner arrived in time.
	Singles uint64
	// Passed is the number of packets that were let through at once.
	Passed uint64
	// Kept is the number of packets that the policy held one by one.
	Kept uint64
	// ReleasedByTimeout is the number of packets released by a time-out: the policy's, or MaxHold.
	ReleasedByTimeout uint64
	// ReleasedByClose is the number of packets that were accepted because the hold ended.
	ReleasedByClose uint64
	// Injected is the number of packets made up by the policy.
	Injected uint64
	// Errors is the number of errors of the policy and of the engine; LastError is the latest one.
	Errors    uint64
	LastError string
	// VerdictErrors is the number of verdicts that the kernel refused: packets that it had dropped meanwhile, because some
	// base chain in the namespace was removed.
	VerdictErrors uint64
	// QueueDrops is the number of packets that the kernel lost before the queue; QueueMissed that of packets which passed
	// unheld because the receive buffer was full.
	QueueDrops, QueueMissed uint64
}

// Hold is a running hold. All methods may be called from any goroutine.
type Hold struct {
	spec   Spec
	queue  *queue
	chain  *Chain
	inject *injector
	stop   atomic.Bool
	done   chan struct{}
	err    error

	// Of the loop only: the packets that are held, and when each must go, oldest first (with some that went already).
	held map[uint32]bool
	due  []deadline

	mu    sync.Mutex
	stats Stats
	met   []Meeting
	// told is the last error that Meetings has returned.
	told string
}

// Meeting is a flow that a policy has acted on, and when.
type Meeting struct {
	At   time.Time
	Flow Flow
}

// meetingsMax bounds the meetings that nobody has asked for yet; later ones are not kept.
const meetingsMax = 1 << 16

type deadline struct {
	id uint32
	at time.Time
}

// drainLimit bounds the orderly end.
const drainLimit = 2 * time.Second

// Start opens the queue, then installs the chain, then serves until ctx ends or Close is called. The network namespace is
// the calling thread's. On an error nothing is left behind.
func Start(ctx context.Context, spec Spec) (*Hold, error) {
	if spec.Policy == nil {
		return nil, fmt.Errorf("hold %q: no policy", spec.Name)
	}
	spec.MaxHold = cmp.Or(spec.MaxHold, 5*time.Second)
	h := &Hold{spec: spec, done: make(chan struct{}), held: map[uint32]bool{}}
	fail := func(err error) (*Hold, error) {
		return nil, errors.Join(fmt.Errorf("hold %q: %w", spec.Name, err), h.closeParts())
	}
	var err error
	flags := uint32(usualFlags)
	if spec.Drops {
		flags &^= nfqaCfgFailOpen
	}
	if spec.Segments {
		flags &^= nfqaCfgGSO
	}
	if h.queue, err = openQueue(ctx, spec.Queue, cmp.Or(spec.Length, maxWaiting), readBuffer, flags); err != nil {
		return fail(err)
	}
	if spec.InjectMark != 0 {
		if h.inject, err = newInjector(spec.InjectMark); err != nil {
			return fail(err)
		}
	}
	h.chain, err = InstallChain(ctx, ChainSpec{
		Table: spec.Name, Hook: spec.Hook, Priority: spec.Priority, Match: spec.Match, ExceptMark: spec.InjectMark, Untracked: spec.Untracked, Queue: spec.Queue, Via: spec.Via,
	})
	if err != nil {
		return fail(err)
	}
	go h.run(ctx)
	return h, nil
}

func (h *Hold) closeParts() error {
	var errs []error
	if h.chain != nil {
		errs = append(errs, h.chain.Remove())
	}
	if h.queue != nil {
		errs = append(errs, h.queue.Close())
	}
	if h.inject != nil {
		errs = append(errs, h.inject.close())
	}
	return errors.Join(errs...)
}

// Via says which way leads from the rule to the queue.
func (h *Hold) Via() Via { return h.chain.Via() }

// Done is closed when the hold has ended and been removed.
func (h *Hold) Done() <-chan struct{} { return h.done }

// Close ends the hold in order, waits for it, and returns what went wrong while it ran or ended. Idempotent.
func (h *Hold) Close() error {
	h.wake()
	<-h.done
	return h.err
}

func (h *Hold) wake() {
	if h.stop.Swap(true) {
		return // it is ending already
	}
	_ = h.queue.SetReadDeadline(time.Unix(1, 0)) // an error means that the queue is closed already
}

// Stats reads the counters, the kernel's among them. After the end it returns the last ones.
func (h *Hold) Stats(ctx context.Context) (Stats, error) {
	hits, chainErr := h.chain.Hits(ctx)
	qs, queueErr := h.queue.Stats()
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.done:
		return h.stats, nil
	default:
	}
	h.stats.Matched = max(h.stats.Matched, hits)
	if queueErr == nil {
		h.stats.QueueDrops = qs.Dropped
	}
	h.stats.QueueMissed = qs.Missed
	if err := errors.Join(chainErr, queueErr); err != nil && !h.stop.Load() { // while it ends, its parts go away
		return h.stats, fmt.Errorf("hold %q: %w", h.spec.Name, err)
	}
	return h.stats, nil
}

// Meetings returns the flows that the policy has acted on since the last call, in order, and the last error if it is a new one.
func (h *Hold) Meetings() (met []Meeting, trouble string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	met, h.met = h.met, nil
	if h.stats.LastError != h.told {
		trouble, h.told = h.stats.LastError, h.stats.LastError
	}
	return met, trouble
}

func (h *Hold) meet(m Meeting) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.met) < meetingsMax {
		h.met = append(h.met, m)
	}
}

func (h *Hold) run(ctx context.Context) {
	unhook := context.AfterFunc(ctx, h.wake)
	defer unhook()
	err := h.serve(ctx)
	if end := h.end(); err != nil || end != nil {
		h.err = fmt.Errorf("hold %q: %w", h.spec.Name, errors.Join(err, end))
	}
	h.mu.Lock()
	close(h.done)
	h.mu.Unlock()
}

// timerGrace is how long a timer waits at the most for packets that are there to be read.
const timerGrace = 50 * time.Millisecond

// serve is the event loop: one goroutine, woken by packets and by the read deadline.
func (h *Hold) serve(ctx context.Context) error {
	var armed time.Time
	for {
		next := h.nextTimer()
		if now := time.Now(); !next.IsZero() && !now.Before(next) && h.queue.Ready() {
			next = now.Add(timerGrace) // a deadline that has passed would refuse what is there to be read
		}
		if !next.Equal(armed) {
			if err := h.queue.SetReadDeadline(next); err != nil {
				return fmt.Errorf("timer: %w", err)
			}
			armed = next
		}
		// After the deadline was set: wake sets stop first, so either it is seen here or its deadline comes later.
		if h.stop.Load() {
			return nil
		}
		p, err := h.queue.Receive()
		now := time.Now()
		var refused *VerdictError
		switch {
		case err == nil:
			h.hold(p)
			d := h.spec.Policy.OnPacket(ctx, now, p)
			h.apply(d)
			if d.Met {
				h.meet(Meeting{now, p.Flow})
			}
		case errors.As(err, &refused):
			h.count(func(s *Stats) { s.VerdictErrors++; s.LastError = refused.Error() })
		case errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return err
		}
		// On a busy machine this process may wake late: a packet that arrived in time is handled before the timer that it stops.
		if due := h.spec.Policy.NextTimer(); !due.IsZero() && !now.Before(due) && (!h.queue.Ready() || !now.Before(due.Add(timerGrace))) {
			h.apply(h.spec.Policy.OnTimer(ctx, now))
		}
		h.releaseOld(now)
	}
}

func (h *Hold) hold(p Packet) {
	h.held[p.ID] = true
	h.due = append(h.due, deadline{p.ID, p.Arrived.Add(h.spec.MaxHold)})
	h.count(func(s *Stats) { s.Received++; s.Held = uint64(len(h.held)) })
}

func (h *Hold) nextTimer() time.Time {
	for len(h.due) > 0 && !h.held[h.due[0].id] {
		h.due = h.due[1:]
	}
	next := h.spec.Policy.NextTimer()
	if len(h.due) > 0 && (next.IsZero() || h.due[0].at.Before(next)) {
		next = h.due[0].at
	}
	return next
}

// releaseOld accepts packets that a policy has kept for too long.
func (h *Hold) releaseOld(now time.Time) {
	var old []uint32
	for len(h.due) > 0 && !now.Before(h.due[0].at) {
		if h.held[h.due[0].id] {
			old = append(old, h.due[0].id)
		}
		h.due = h.due[1:]
	}
	if n := h.accept(nil, old); n > 0 {
		h.count(func(s *Stats) { s.ReleasedByTimeout += uint64(n) })
	}
}

func (h *Hold) apply(d Decision) {
	var accepted []uint32
	injected := 0
	for _, a := range d.Actions {
		if a.inject == nil {
			accepted = append(accepted, a.accept)
			continue
		}
		h.accept(d.Changed, accepted)
		accepted = nil
		if h.inject == nil {
			h.fail(errors.New("the policy injects, but the hold has no InjectMark"))
		} else if err := h.inject.send(a.inject); err != nil {
			h.fail(err)
		} else {
			injected++
		}
	}
	h.accept(d.Changed, accepted)
	if d.Err != nil {
		h.fail(d.Err)
	}
	h.count(func(s *Stats) {
		s.Groups += uint64(d.Groups)
		s.Singles += uint64(d.Singles)
		s.Passed += uint64(d.Passed)
		s.Kept += uint64(d.Kept)
		s.ReleasedByTimeout += uint64(d.TimedOut)
		s.Injected += uint64(injected)
	})
}

// accept accepts held packets, some of them with another payload, and returns their number.
func (h *Hold) accept(payloads map[uint32][]byte, ids []uint32) int {
	var held []uint32
	for _, id := range ids {
		if !h.held[id] {
			h.fail(fmt.Errorf("verdict for packet %d, which is not held", id))
			continue
		}
		delete(h.held, id)
		held = append(held, id)
	}
	if err := h.queue.acceptAs(payloads, held...); err != nil {
		h.fail(err)
	}
	h.count(func(s *Stats) { s.Held = uint64(len(h.held)) })
	return len(held)
}

func (h *Hold) fail(err error) {
	h.count(func(s *Stats) { s.Errors++; s.LastError = err.Error() })
}

func (h *Hold) count(f func(*Stats)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(&h.stats)
}

// end removes the hold so that no packet is dropped: rule, held packets, chain, queue. It ignores the context, which has ended, and takes
// at most drainLimit.
func (h *Hold) end() error {
	h.stop.Store(true)
	errs := []error{h.chain.Quiesce()}
	if errs[0] == nil {
		errs = append(errs, h.drain())
	}
	h.releaseAll()
	// The last readings, while there is still something to read.
	if qs, err := h.queue.Stats(); err == nil {
		h.count(func(s *Stats) { s.QueueDrops, s.QueueMissed = qs.Dropped, qs.Missed })
	}
	errs = append(errs, h.closeParts())
	hits, _ := h.chain.Hits(context.Background()) // what Remove has read
	h.count(func(s *Stats) { s.Matched = max(s.Matched, hits) })
	return errors.Join(errs...)
}

func (h *Hold) releaseAll() {
	n := h.accept(nil, slices.Sorted(maps.Keys(h.held)))
	h.count(func(s *Stats) { s.ReleasedByClose += uint64(n) })
}

// drain accepts packets until the kernel says that none is waiting, or, if the kernel's counters cannot be read, until none has arrived
// for 10 ms.
func (h *Hold) drain() error {
	limit := time.Now().Add(drainLimit)
	silent := false
	for {
		h.releaseAll()
		qs, err := h.queue.Stats()
		if err != nil {
			return err
		}
		if qs.Kernel && qs.Waiting == 0 || !qs.Kernel && silent {
			return nil
		}
		now := time.Now()
		if now.After(limit) {
			return fmt.Errorf("queue %d is not empty after %s (%d packets wait)", h.spec.Queue, drainLimit, qs.Waiting)
		}
		if err := h.queue.SetReadDeadline(now.Add(10 * time.Millisecond)); err != nil {
			return fmt.Errorf("timer: %w", err)
		}
		p, err := h.queue.Receive()
		var refused *VerdictError
		switch {
		case err == nil:
			h.hold(p)
		case errors.As(err, &refused):
			h.count(func(s *Stats) { s.VerdictErrors++; s.LastError = refused.Error() })
		case errors.Is(err, os.ErrDeadlineExceeded):
			silent = true
		default:
			return err
		}
	}
}
