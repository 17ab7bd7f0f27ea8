package clusterwide

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/site"
)

// NodeLocalDNSCache runs a CoreDNS on every node at 169.254.20.10 and at the cluster's DNS address, outside conntrack, as the addon
// NodeLocal DNSCache does with kube-proxy: pods keep their resolv.conf, their queries are answered on their own node, and the cache asks
// the cluster's DNS over TCP for names that it does not have.
type NodeLocalDNSCache struct{}

// upstream is the Service through which the caches reach CoreDNS, because their nodes have the address of kube-dns themselves.
const (
	upstreamNamespace = "kube-system"
	upstreamName      = "kube-dns-upstream"
	upstream          = `{"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "` + upstreamNamespace + `", "name": %q},
		"spec": {"selector": {"k8s-app": "kube-dns"}, "ports": [
			{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]}}`
)

// ApplyTo adds the Service, and then the cache of each node.
func (*NodeLocalDNSCache) ApplyTo(ctx context.Context, s *site.Scope) error {
	name := s.Unique(upstreamName)
	if err := s.Object(ctx, fmt.Appendf(nil, upstream, name), s.Cluster.Apply); err != nil {
		return err
	}
	text, err := s.Cluster.Object(ctx, "Service", upstreamNamespace, name)
	if err != nil {
		return err
	}
	var service struct{ Spec struct{ ClusterIP string } }
	if err := json.Unmarshal(text, &service); err != nil {
		return fmt.Errorf("service %s: %w", name, err)
	}
	nodes, err := s.Cluster.Resolve("nodes")
	if err != nil {
		return err
	}
	return s.At(ctx, nodes, "nodelocal-cache", &faults.NodeLocalCache{Upstream: service.Spec.ClusterIP})
}

// Keys are its numbers: those of all nodes together.
func (*NodeLocalDNSCache) Keys() units.Keys { return (&faults.NodeLocalCache{}).Keys() }

// ReadFrom adds up what the nodes' caches say.
func (*NodeLocalDNSCache) ReadFrom(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	return readNodes(ctx, s)
}
