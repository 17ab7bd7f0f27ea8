package faults

import (
	"context"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// MSSClamp lowers the maximum segment size (MSS) that both ends of TCP connections announce to each other, in all that leaves the place, like
// the iptables target TCPMSS. It acts on new connections only.
type MSSClamp struct {
	// MSS is the largest value that may pass: the MTU less 40. Default: what fits the route (--clamp-mss-to-pmtu).
	MSS int `json:"mss,omitempty" jsonschema:"minimum=88,maximum=65495"`

	table string
}

// Apply installs the rule, before the source is translated.
func (c *MSSClamp) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	conn, table, err := ownTable(ns)
	if err != nil {
		return err
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityMangle,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: slices.Concat(
		nftrule.Protocol(protocols["tcp"]), nftrule.Flags(tcpFlags["syn"], tcpFlags["syn"]|tcpFlags["rst"]),
		[]expr.Any{&expr.Counter{}}, nftrule.MaxSegment(uint16(c.MSS)),
	)})
	return conn.Flush()
}

// Keys are its numbers.
func (*MSSClamp) Keys() units.Keys { return tableKeys("SYNs that it has looked at") }

// Readings reads the rule.
func (c *MSSClamp) Readings(context.Context) (map[string]float64, error) {
	return tableReadings(c.table)
}
