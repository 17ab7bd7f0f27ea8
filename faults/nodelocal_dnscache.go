package faults

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/site"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// NodeLocalDNSCache runs a CoreDNS on every node at 169.254.20.10 and at the cluster's DNS address, outside conntrack, as the
// addon of that name does beside kube-proxy: pods keep their resolv.conf, their queries end on their own node, and what the
// cache does not know it asks the cluster's DNS over TCP.
type NodeLocalDNSCache struct{}

const (
	nodeLocalAddress = "169.254.20.10"
	clusterDNS       = "10.96.0.10"
	nodeLocalName    = "node-local-dns"
	upstreamService  = "kube-dns-upstream"
	systemNamespace  = "kube-system"
)

// ApplyTo adds the Service by which the caches reach CoreDNS, then the addresses and rules, then the caches.
func (*NodeLocalDNSCache) ApplyTo(ctx context.Context, s *site.Site, id string) (func(context.Context) error, error) {
	var undos []func(context.Context) error
	undo := func(ctx context.Context) error {
		var errs []error
		for i := len(undos) - 1; i >= 0; i-- {
			errs = append(errs, undos[i](ctx))
		}
		return errors.Join(errs...)
	}
	undos = append(undos, func(ctx context.Context) error {
		return s.Cluster.RemoveService(ctx, systemNamespace, upstreamService)
	})
	upstream, err := s.Cluster.AddService(ctx, clusters.Service{
		Namespace: systemNamespace, Name: upstreamService, Selector: map[string]string{"k8s-app": "kube-dns"},
		Ports: []clusters.Port{{Name: "dns", Protocol: "UDP", Port: 53}, {Name: "dns-tcp", Protocol: "TCP", Port: 53}},
	})
	if err != nil {
		return undo, err
	}
	nodes, err := s.Cluster.Resolve("nodes")
	if err != nil {
		return undo, err
	}
	corefile := nodeLocalCorefile(upstream)
	// A cache can listen only where it has the addresses. On the way out they go first, so that queries find CoreDNS again.
	for _, node := range nodes {
		undos = append(undos, func(ctx context.Context) error { return s.Cluster.StopCoreDNS(ctx, node, nodeLocalName) })
	}
	undoAddresses, err := s.ApplyAt(ctx, id, "nodelocal-addresses", &NodeLocalAddresses{}, nodes)
	undos = append(undos, undoAddresses)
	if err != nil {
		return undo, err
	}
	for _, node := range nodes {
		if err := s.Cluster.CoreDNS(ctx, node, nodeLocalName, corefile); err != nil {
			return undo, fmt.Errorf("%s: %w", node, err)
		}
	}
	return undo, nil
}

// NodeLocalAddresses gives a node the addresses of its DNS cache, and keeps packets to and from them out of conntrack. It is
// a part of nodelocal-dnscache.
type NodeLocalAddresses struct {
	table string
}

// Apply adds rules first: a packet to the cache must not find a connection to DNAT.
func (c *NodeLocalAddresses) Apply(_ context.Context, ns *Namespace) error {
	c.table = ns.Name
	servers := []string{nodeLocalAddress, clusterDNS}
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

// Readings: packets is how many packets passed untracked.
func (c *NodeLocalAddresses) Readings(context.Context) (map[string]float64, error) {
	packets, err := countPackets(c.table)
	return map[string]float64{"packets": float64(packets)}, err
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
	if err := scope.Push(undo.Record{Address: &undo.Address{Link: name, CIDR: cidr}}); err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, address); err != nil {
		return fmt.Errorf("address %s on %s: %w", cidr, name, err)
	}
	return nil
}

// nodeLocalCorefile is the addon's configuration, less the zones that the lab does not have. Source: Kubernetes
// cluster/addons/dns/nodelocaldns/nodelocaldns.yaml.
func nodeLocalCorefile(upstream string) string {
	return fmt.Sprintf(`cluster.local:53 {
    errors
    cache {
        success 9984 30
        denial 9984 5
    }
    bind %[1]s %[2]s
    forward . %[3]s {
        force_tcp
    }
}
.:53 {
    errors
    cache 30
    bind %[1]s %[2]s
    forward . %[3]s {
        force_tcp
    }
}
`, nodeLocalAddress, clusterDNS, upstream)
}
