package faults

import (
	"context"
	"fmt"
	"strconv"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// ConntrackMax sets nf_conntrack_max, which applies to every network namespace of the machine. It is refused if a namespace outside this
// run has more entries than that, and while another run is active.
type ConntrackMax struct {
	// Value is the new limit, in entries.
	Value int `json:"value" jsonschema:"minimum=1,maximum=2147483647"`
}

const conntrackMaxKey = "net.netfilter.nf_conntrack_max"

// Apply sets the limit.
func (c *ConntrackMax) Apply(ctx context.Context, ns *Namespace) error {
	// Only one run at a time may change the machine. A fault and its remedy belong to one run, and share the lock.
	if err := hostLock.take(ctx, ns); err != nil {
		return err
	}
	counts, err := readers.ConntrackCounts()
	if err != nil {
		return err
	}
	for _, n := range counts {
		if n.Run != "" && n.Run != ns.Run {
			return fmt.Errorf("refused: run %s is under way, and the limit would be its limit too", n.Run)
		}
		if n.Entries > c.Value && n.Run != ns.Run {
			return fmt.Errorf("refused: the network namespace net:[%d] of process %d (%s) has %d conntrack entries, more than the new limit of %d", n.Netns, n.PID, n.Command, n.Entries, c.Value)
		}
	}
	return setSysctl(ns, conntrackMaxKey, strconv.Itoa(c.Value))
}

// Keys are its numbers.
func (*ConntrackMax) Keys() units.Keys {
	return units.Keys{"max": {Means: "the limit now", Kind: units.Gauge}}
}

// Readings reads the limit.
func (c *ConntrackMax) Readings(context.Context) (map[string]float64, error) {
	text, err := undo.ReadSysctl(conntrackMaxKey)
	if err != nil {
		return nil, err
	}
	now, err := strconv.ParseFloat(text, 64)
	return map[string]float64{"max": now}, err
}
