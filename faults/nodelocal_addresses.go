package faults

import (
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Addresses at which a node's DNS cache answers: its own, and the cluster's DNS Service. Source: Kubernetes
// cluster/addons/dns/nodelocaldns.
const (
	NodeLocalAddress = "169.254.20.10"
	ClusterDNS       = "10.96.0.10"
)

// NodeLocalAddresses adds the addresses of a DNS cache to a node, and excludes packets to and from them from conntrack. It is a part of
// nodelocal-cache.
type NodeLocalAddresses struct {
	table string
}

// Apply adds the rules first, so that no packet to the cache is tracked and translated.
func (c *NodeLocalAddresses) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	servers := []string{NodeLocalAddress, ClusterDNS}
	err := noTrack(ns, []NoTrack{
		{Protocol: "udp", Port: 53, Addresses: servers}, {Protocol: "tcp", Port: 53, Addresses: servers},
	})
	if err != nil {
		return err
	}
	// The addon makes a dummy link; the loopback does as well, and every kernel has it.
	for _, address := range servers {
		if err := addAddress(ns.Scope, "lo", address+"/32"); err != nil {
			return err
		}
	}
	return nil
}

// Keys are its numbers.
func (*NodeLocalAddresses) Keys() units.Keys {
	keys := tableKeys("packets that passed untracked")
	keys["addresses"] = units.Key{Means: "addresses of the cache that the node has, of two", Kind: units.Gauge}
	return keys
}

// Readings looks at the node's addresses and rules.
func (c *NodeLocalAddresses) Readings(context.Context) (map[string]float64, error) {
	readings, err := tableReadings(c.table)
	if err != nil {
		return nil, err
	}
	addresses, err := net.InterfaceAddrs()
	readings["addresses"] = 0
	for _, a := range addresses {
		if a.String() == NodeLocalAddress+"/32" || a.String() == ClusterDNS+"/32" {
			readings["addresses"]++
		}
	}
	return readings, err
}

func addAddress(scope *undo.Scope, name, cidr string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	address, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	there, err := netlink.AddrList(link, netlink.FAMILY_V4)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", name, err)
	}
	if slices.ContainsFunc(there, address.Equal) {
		return fmt.Errorf("%s has the address %s already", name, cidr) // undoing would delete what this change has not added
	}
	if err := scope.Push(undo.Record{Address: &undo.Address{Link: name, CIDR: cidr}}); err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("address %s on %s: %w", cidr, name, err)
	}
	return nil
}
