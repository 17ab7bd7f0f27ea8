package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// Packets drops, loses, limits, delays, duplicates or corrupts packets at one point of their way, in one direction, as a firewall or a bad
// line does, or lets them through such a firewall. It has exactly one effect. A program that sends what is dropped at output gets the error EPERM; all others hear nothing.
type Packets struct {
	PacketMatch
	// Allow lets them pass all other changes packets that catch them at the same point, like a rule of a firewall in front of the others.
	Allow bool `json:"allow,omitempty"`
	// Drop is the share of packets that is dropped: 100% blocks them, less loses some by chance.
	Drop units.Percent `json:"drop,omitempty"`
	// Limit is how many packets pass each second. The others are dropped.
	Limit int `json:"limit,omitempty" jsonschema:"minimum=1,maximum=1000000"`
	// Delay is how long each packet waits: at most 10s.
	Delay units.Duration `json:"delay,omitempty"`
	// Jitter is how much longer than delay a packet waits at most. Each packet waits for another time, so they overtake each other.
	Jitter units.Duration `json:"jitter,omitempty"`
	// Duplicate is the share of packets that is sent twice. It needs at: output or postrouting.
	Duplicate units.Percent `json:"duplicate,omitempty"`
	// Corrupt is the share of packets in which one bit is turned over, so that checksums refuse them.
	Corrupt units.Percent `json:"corrupt,omitempty"`

	table   string
	holding *holding
}

// Validate wants one effect that there can be.
func (c *Packets) Validate() error {
	effects := 0
	for _, given := range []bool{c.Allow, c.Drop > 0, c.Limit > 0, c.Delay+c.Jitter > 0, c.Duplicate > 0, c.Corrupt > 0} {
		if given {
			effects++
		}
	}
	switch {
	case effects != 1:
		return errors.New("exactly one of allow, drop, limit, delay, duplicate and corrupt is needed")
	case c.Duplicate > 0 && c.At != "output" && c.At != "postrouting":
		return errors.New("duplicate needs at: output or postrouting")
	}
	return errors.Join(c.PacketMatch.Validate(), atMost("delay and jitter", c.Delay+c.Jitter, longestHold))
}

// Apply makes a rule that drops them, or that hands them to a hold.
func (c *Packets) Apply(_ context.Context, ns *Namespace) error {
	exprs, err := c.exprs(ns)
	if err != nil {
		return err
	}
	c.table = ns.Name
	if c.Allow {
		return c.rule(ns, 1, append(exprs, nftrule.Mark(allowedMark)...))
	}
	exprs = append(nftrule.WithoutMark(allowedMark), exprs...)
	if share := c.Drop + c.Duplicate + c.Corrupt; c.Limit > 0 {
		exprs = append(exprs, &expr.Limit{Type: expr.LimitTypePkts, Rate: uint64(c.Limit), Unit: expr.LimitTimeSecond, Burst: uint32(c.Limit), Over: true})
	} else if share > 0 && share < 1 {
		exprs = append(exprs, nftrule.Share(float64(share))...)
	}
	exprs = append(exprs, &expr.Counter{})
	spec := hold.Spec{Match: hold.Match{More: exprs}, Segments: true}
	switch {
	case c.Duplicate > 0:
		spec.Policy, spec.InjectMark, spec.Untracked = hold.Duplicate{}, injectMark, true
	case c.Corrupt > 0:
		spec.Policy = hold.Corrupt{}
	case c.Delay+c.Jitter > 0:
		seed := uint64(hash32(ns.Name))
		spec.Policy = &hold.Delay{For: c.Delay.Std(), Jitter: c.Jitter.Std(), Random: rand.New(rand.NewPCG(seed, 0))}
		spec.MaxHold = (c.Delay + c.Jitter).Std() + time.Second
	default:
		return c.rule(ns, 0, append(exprs, &expr.Verdict{Kind: expr.VerdictDrop}))
	}
	spec.Hook, spec.Priority = hold.Hook(*hooks[c.At].hook), hooks[c.At].priority
	c.holding = &holding{}
	return c.holding.start(ns, spec)
}

// allowedMark is a bit that kube-proxy and holds do not use.
const allowedMark = 0x08000000

// rule makes the only rule of a table, before those of other changes if before is 1.
func (c *Packets) rule(ns *Namespace, before int32, exprs []expr.Any) error {
	conn, table, err := ownTable(ns)
	if err != nil {
		return err
	}
	at := hooks[c.At]
	chain := conn.AddChain(&nftables.Chain{
		Name: c.At, Table: table, Type: nftables.ChainTypeFilter, Hooknum: at.hook, Priority: nftables.ChainPriorityRef(nftables.ChainPriority(at.priority - before)),
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	return conn.Flush()
}

// Keys are its numbers.
func (*Packets) Keys() units.Keys {
	return tableKeys("packets on which it acted").And("matched", units.Key{Means: "packets that matched"}).
		And("errors", units.Key{Means: "packets on which it could not act"})
}

// Readings reads the rule, and the hold if there is one.
func (c *Packets) Readings(ctx context.Context) (map[string]float64, error) {
	readings := map[string]float64{"rules": 0, "matched": 0, "packets": 0, "errors": 0}
	rules, err := tableRules(c.table)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		counters := slices.DeleteFunc(slices.Clone(rule.Exprs), func(e expr.Any) bool { _, counter := e.(*expr.Counter); return !counter })
		if len(counters) == 0 {
			continue // one of the hold's own
		}
		readings["rules"]++
		readings["matched"] += float64(counters[0].(*expr.Counter).Packets)
		readings["packets"] += float64(counters[len(counters)-1].(*expr.Counter).Packets)
	}
	if c.holding == nil {
		return readings, nil
	}
	stats, err := c.holding.hold.Stats(ctx)
	readings["errors"] = float64(stats.Errors + stats.VerdictErrors)
	return readings, err
}
