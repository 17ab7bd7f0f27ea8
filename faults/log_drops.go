package faults

import (
	"context"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// LogDrops logs new connections to a port to the kernel log when a node forwards them, before network policies are applied, like the LOG
// rules that log tailers read.
type LogDrops struct {
	// Protocol of the connections.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the pod's port, not the Service's.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`

	table string
}

// Apply installs the rule.
func (c *LogDrops) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	conn, table, err := ownTable(ns)
	if err != nil {
		return err
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 1),
	})
	port := uint16(c.Port)
	exprs := slices.Concat(
		nftrule.State(expr.CtStateBitNEW), nftrule.Protocol(protocolNumber(c.Protocol)), nftrule.Ports(nftrule.Destination, port, port),
	)
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(
		exprs, &expr.Counter{}, &expr.Log{Key: 1 << unix.NFTA_LOG_PREFIX, Data: []byte(readers.DropPrefix)},
	)})
	return conn.Flush()
}

// Keys are its numbers.
func (*LogDrops) Keys() units.Keys {
	return tableKeys("packets that were logged, unless the kernel's limit was reached")
}

// Readings reads the rules.
func (c *LogDrops) Readings(context.Context) (map[string]float64, error) {
	return tableReadings(c.table)
}
