package faults

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// Masquerade replaces the pods' source addresses by the node's, in place of the cluster's own masquerade rule.
type Masquerade struct {
	// From is the CIDR of the pods' addresses. Default: 10.244.0.0/16, the lab's pods.
	From string `json:"from,omitempty"`
	// Ports is kept if a packet keeps its source port when it is free (iptables -j MASQUERADE), or fully-random if each connection gets a
	// random port (--random-fully). If both are applied, fully-random has precedence.
	Ports string `json:"ports" jsonschema:"enum=kept,enum=fully-random"`

	table string
}

// defaultMasqueradeFrom is the lab's and, with kubeadm's usual settings, flannel's network of pods.
const defaultMasqueradeFrom = "10.244.0.0/16"

// Validate checks the form of the addresses.
func (c *Masquerade) Validate() error {
	return ipv4Network("from", cmp.Or(c.From, defaultMasqueradeFrom))
}

// Apply installs the rule in its own chain, before the cluster's: the first NAT chain that translates a connection wins.
// Source: linux net/netfilter/nf_nat_core.c (nf_nat_inet_fn).
func (c *Masquerade) Apply(_ context.Context, ns *Namespace) error {
	prefix, err := netip.ParsePrefix(cmp.Or(c.From, defaultMasqueradeFrom))
	if err != nil {
		return err
	}
	c.table = ns.Name
	conn, table, err := ownTable(ns)
	if err != nil {
		return err
	}
	random := c.Ports == "fully-random"
	before := *nftables.ChainPriorityNATSource - 1
	if random {
		before--
	}
	chain := conn.AddChain(&nftables.Chain{
		Name: "masquerade", Table: table, Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityRef(before),
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(nftrule.Leaving(prefix), &expr.Counter{}, &expr.Masq{FullyRandom: random})})
	return conn.Flush()
}

// Keys are its numbers.
func (*Masquerade) Keys() units.Keys {
	return tableKeys("connections that were given a source by this rule, each by its first packet")
}

// Readings reads the rules.
func (c *Masquerade) Readings(context.Context) (map[string]float64, error) {
	return tableReadings(c.table)
}
