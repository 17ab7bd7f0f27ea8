package faults

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

// SlowNFQueue hands packets to a program that has too little time to read them, like the agent of a network policy with a CPU limit
// (NFQUEUE). What finds the queue full is dropped. If there is a slow-nfqueue with the same match at the place already, its program goes on
// with this one's rate, as with another CPU limit.
type SlowNFQueue struct {
	PacketMatch
	// Length is how many packets may wait. The kernel's own default is 1024.
	Length int `json:"length" jsonschema:"minimum=1,maximum=4096"`
	// Rate is how many packets the program lets pass each second. Default: none.
	Rate int `json:"rate,omitempty" jsonschema:"minimum=1,maximum=1000000"`

	queue *slowQueue
}

// slowQueue is a queue with its program.
type slowQueue struct {
	hold.Slow
	holding holding
}

// slowQueues are those of this process, by run, place and match.
var slowQueues sync.Map

// Apply arms it, or sets the other one's rate.
func (c *SlowNFQueue) Apply(_ context.Context, ns *Namespace) error {
	match, err := json.Marshal(c.PacketMatch)
	if err != nil {
		return err
	}
	key := ns.Run + " " + ns.Place + " " + string(match)
	if other, ok := slowQueues.Load(key); ok {
		c.queue = other.(*slowQueue)
		before := c.queue.Rate.Load()
		if err := ns.Scope.PushFunc("set the rate as it was", func(context.Context) error { c.queue.Rate.Store(before); return nil }); err != nil {
			return err
		}
		c.queue.Rate.Store(int64(c.Rate))
		return nil
	}
	exprs, err := c.exprs(ns)
	if err != nil {
		return err
	}
	c.queue = &slowQueue{}
	c.queue.Rate.Store(int64(c.Rate))
	if err := ns.Scope.PushFunc("forget the queue", func(context.Context) error { slowQueues.Delete(key); return nil }); err != nil {
		return err
	}
	slowQueues.Store(key, c.queue)
	return c.queue.holding.start(ns, hold.Spec{
		Match: hold.Match{More: exprs}, Hook: hold.Hook(*hooks[c.At].hook), Priority: hooks[c.At].priority,
		Policy: &c.queue.Slow, Length: uint32(c.Length), Drops: true,
		MaxHold: time.Hour, // it is the queue that is full, for as long as the change lasts
	})
}

// Keys are its numbers.
func (*SlowNFQueue) Keys() units.Keys {
	keys := holdingKeys(units.Keys{
		"matched": {Means: "packets for the queue"}, "waiting": {Means: "packets that wait now", Kind: units.Gauge},
		"passed": {Means: "packets that the program has let pass"}, "rate": {Means: "how many it lets pass each second", Kind: units.Gauge},
	})
	for name, key := range keys {
		key.Meets = false // it does not tell whose packets they are
		keys[name] = key
	}
	return keys
}

// Readings are the hold's numbers, and the rate.
func (c *SlowNFQueue) Readings(ctx context.Context) (map[string]float64, error) {
	return c.queue.holding.readings(ctx, func(s hold.Stats) map[string]float64 {
		return map[string]float64{
			"matched": float64(s.Matched), "waiting": float64(s.Held), "passed": float64(s.Groups), "rate": float64(c.queue.Rate.Load()),
		}
	})
}
