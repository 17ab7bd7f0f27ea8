package faults

import (
	"cmp"
	"context"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/harness/nftrule"
)

// Masquerade hides the pods' addresses behind the node's, in place of the cluster's own rule for that.
type Masquerade struct {
	// From is whose addresses are hidden from everybody else. Default: 10.244.0.0/16, the lab's pods.
	From string `json:"from,omitempty"`
	// Ports is kept where a packet keeps its source port as long as that is free (iptables -j MASQUERADE), fully-random where
	// each connection gets a port by chance (--random-fully). Where both are on, fully-random is what counts.
	Ports string `json:"ports" jsonschema:"enum=kept,enum=fully-random"`

	table string
}

// defaultMasqueradeFrom is the lab's and, with kubeadm's usual settings, flannel's network of pods.
const defaultMasqueradeFrom = "10.244.0.0/16"

// Validate checks the form of the addresses.
func (c *Masquerade) Validate() error {
	_, err := netip.ParsePrefix(cmp.Or(c.From, defaultMasqueradeFrom))
	return err
}

// Apply installs the rule in a chain of its own: the first NAT chain that translates a connection is the last one to be asked.
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

// Readings: packets is how many connections were given a source by this rule, each by its first packet.
func (c *Masquerade) Readings(context.Context) (map[string]float64, error) {
	packets, err := countPackets(c.table)
	return map[string]float64{"packets": float64(packets)}, err
}
