package faults

import (
	"context"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// NoTrack excludes a class of flows from conntrack, in both directions, like the iptables target NOTRACK in the table raw. Flows that
// need NAT, such as those to a ClusterIP, do not work without conntrack.
type NoTrack struct {
	// Protocol of the flows.
	Protocol string `json:"protocol" jsonschema:"enum=udp,enum=tcp"`
	// Port is the server's port.
	Port int `json:"port" jsonschema:"minimum=1,maximum=65535"`
	// Addresses limits the class to these IPv4 addresses of servers. Default: any.
	Addresses []string `json:"addresses,omitempty"`

	table string
}

// Validate checks the addresses.
func (c *NoTrack) Validate() error {
	for _, address := range c.Addresses {
		if err := ipv4("addresses", address); err != nil {
			return err
		}
	}
	return nil
}

// Apply installs the rules.
func (c *NoTrack) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	return noTrack(ns, []NoTrack{*c})
}

// noTrack makes a table with rules for several classes, in front of conntrack for forwarded and for local packets.
func noTrack(ns *Namespace, classes []NoTrack) error {
	conn, table, err := ownTable(ns)
	if err != nil {
		return err
	}
	for hookName, hook := range map[string]*nftables.ChainHook{"prerouting": nftables.ChainHookPrerouting, "output": nftables.ChainHookOutput} {
		chain := conn.AddChain(&nftables.Chain{
			Name: hookName, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityRaw,
		})
		for _, class := range classes {
			addresses := class.Addresses
			if len(addresses) == 0 {
				addresses = []string{""}
			}
			for _, address := range addresses {
				for _, toServer := range []bool{true, false} {
					match, err := class.match(address, toServer)
					if err != nil {
						return err
					}
					conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(match, &expr.Counter{}, &expr.Notrack{})})
				}
			}
		}
	}
	return conn.Flush()
}

// match is the class's packets of one direction.
func (c *NoTrack) match(address string, toServer bool) ([]expr.Any, error) {
	server := nftrule.Source
	if toServer {
		server = nftrule.Destination
	}
	exprs := append(nftrule.Protocol(protocolNumber(c.Protocol)), nftrule.Ports(server, uint16(c.Port), uint16(c.Port))...)
	if address == "" {
		return exprs, nil
	}
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	return append(exprs, nftrule.Address(server, expr.CmpOpEq, netip.PrefixFrom(parsed, parsed.BitLen()))...), nil
}

// Keys are its numbers.
func (*NoTrack) Keys() units.Keys { return tableKeys("packets that passed untracked") }

// Readings reads the rules.
func (c *NoTrack) Readings(context.Context) (map[string]float64, error) {
	return tableReadings(c.table)
}
