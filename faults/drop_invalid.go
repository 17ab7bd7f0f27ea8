package faults

import (
	"context"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// DropInvalid drops packets that conntrack marks INVALID, like iptables -m conntrack --ctstate INVALID -j DROP.
type DropInvalid struct {
	// Chain is forward for forwarded packets, or input for packets to this namespace itself.
	Chain string `json:"chain" jsonschema:"enum=forward,enum=input"`

	table string
}

// Apply installs the rule in its own chain, before all other filters.
func (c *DropInvalid) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	conn, table, err := ownTable(ns)
	if err != nil {
		return err
	}
	hook := nftables.ChainHookForward
	if c.Chain == "input" {
		hook = nftables.ChainHookInput
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: c.Chain, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter - 10),
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(
		nftrule.State(expr.CtStateBitINVALID), &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop},
	)})
	return conn.Flush()
}

// Keys are its numbers.
func (*DropInvalid) Keys() units.Keys { return tableKeys("packets that were dropped") }

// Readings reads the rules.
func (c *DropInvalid) Readings(context.Context) (map[string]float64, error) {
	return tableReadings(c.table)
}
