package faults

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// Masquerade replaces the pods' source addresses by the node's, in place of the cluster's own masquerade rule.
type Masquerade struct {
	// From is the CIDR of the pods' addresses. Default: 10.244.0.0/16, the lab's pods.
	From string `json:"from,omitempty"`
	// Ports is kept if a packet keeps its source port when it is free (iptables -j MASQUERADE), fully-random if each connection gets a
	// random port (--random-fully), or a range of ports that TCP and UDP connections share, such as 40000-40063 (--to-ports): few of them,
	// and connections to one server find none. Of several, fully-random has precedence, then the one that was applied last.
	Ports string `json:"ports"`

	table string
}

// defaultMasqueradeFrom is the lab's and, with kubeadm's usual settings, flannel's network of pods.
const defaultMasqueradeFrom = "10.244.0.0/16"

// Validate checks the form of the addresses.
func (c *Masquerade) Validate() error {
	_, err := c.portRange()
	return errors.Join(ipv4Network("from", cmp.Or(c.From, defaultMasqueradeFrom)), err)
}

// portRange is the first and the last port, if there is a range.
func (c *Masquerade) portRange() (ports []uint16, err error) {
	if c.Ports == "kept" || c.Ports == "fully-random" {
		return nil, nil
	}
	first, last, _ := strings.Cut(c.Ports, "-")
	for _, text := range []string{first, last} {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 || len(ports) > 0 && uint16(port) < ports[0] {
			return nil, fmt.Errorf("ports: %q is neither kept nor fully-random, nor a range from 1 to 65535, such as 40000-40063", c.Ports)
		}
		ports = append(ports, uint16(port))
	}
	return ports, nil
}

// Apply installs the rule in its own chain, before the cluster's: the first NAT chain that translates a connection wins.
// Source: linux net/netfilter/nf_nat_core.c (nf_nat_inet_fn).
func (c *Masquerade) Apply(_ context.Context, ns *Namespace) error {
	prefix, err := netip.ParsePrefix(cmp.Or(c.From, defaultMasqueradeFrom))
	if err != nil {
		return err
	}
	ports, err := c.portRange()
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
	if ports == nil {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(nftrule.Leaving(prefix), &expr.Counter{}, &expr.Masq{FullyRandom: random})})
		return conn.Flush()
	}
	rules, err := toRange(ports[0], ports[1])
	if err != nil {
		return err
	}
	for _, exprs := range rules {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: append(nftrule.Leaving(prefix), exprs...)})
	}
	return conn.Flush()
}

// toRange are the rest of the rules for a range of ports: source NAT to the address of the interface, for TCP and UDP. The library cannot
// write nft's own masquerade with a range: a flag would be missing.
func toRange(first, last uint16) (rules [][]expr.Any, err error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	for _, i := range interfaces {
		address, ok := interfaceAddress(i)
		if !ok {
			continue
		}
		for _, protocol := range []string{"tcp", "udp"} {
			rules = append(rules, slices.Concat(nftrule.Protocol(protocols[protocol]), []expr.Any{
				&expr.Meta{Key: expr.MetaKeyOIF, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(uint32(i.Index))},
				&expr.Counter{},
				&expr.Immediate{Register: 1, Data: address.AsSlice()},
				&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(first)},
				&expr.Immediate{Register: 3, Data: binaryutil.BigEndian.PutUint16(last)},
				&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2, RegProtoMax: 3, Specified: true},
			}))
		}
	}
	if rules == nil {
		return nil, errors.New("no interface has an IPv4 address")
	}
	return rules, nil
}

// interfaceAddress is the first IPv4 address of an interface, if it has one and leads elsewhere.
func interfaceAddress(i net.Interface) (netip.Addr, bool) {
	addresses, err := i.Addrs()
	if err != nil || i.Flags&net.FlagLoopback != 0 {
		return netip.Addr{}, false
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil && prefix.Addr().Is4() {
			return prefix.Addr(), true
		}
	}
	return netip.Addr{}, false
}

// Keys are its numbers.
func (*Masquerade) Keys() units.Keys {
	return tableKeys("connections that were given a source by this rule, each by its first packet")
}

// Readings reads the rules.
func (c *Masquerade) Readings(context.Context) (map[string]float64, error) {
	return tableReadings(c.table)
}
