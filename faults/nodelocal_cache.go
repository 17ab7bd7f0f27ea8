package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// NodeLocalCache runs a DNS cache on a node and adds the addresses of nodelocal-addresses. It is the part of nodelocal-dnscache that is
// made on each node.
type NodeLocalCache struct {
	// Upstream is the IPv4 address of the DNS server that the cache asks over TCP.
	Upstream string `json:"upstream"`

	addresses NodeLocalAddresses
	programs  *program.Manager
}

const (
	nodeLocalName = "node-local-dns"
	// upstreamLimit is how long the node may take to reach the upstream, upstreamEvery how often that is tried: a Service may be so
	// new that kube-proxy does not serve it yet.
	upstreamLimit = 30 * time.Second
	upstreamEvery = 200 * time.Millisecond
)

// Validate checks the form of the address.
func (c *NodeLocalCache) Validate() error {
	return ipv4("upstream", c.Upstream)
}

// Apply adds the addresses and starts the cache, which can listen only if the node has them. Undoing it ends the cache first.
func (c *NodeLocalCache) Apply(ctx context.Context, ns *Namespace) error {
	if err := c.awaitUpstream(ctx); err != nil {
		return err
	}
	if err := c.addresses.Apply(ctx, ns); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.programs = ns.Own
	corefile := "/run/" + ns.Name + ".Corefile"
	if err := ns.Scope.SetFile(corefile, []byte(c.corefile()), 0o644); err != nil {
		return err
	}
	if err := ns.Scope.PushFunc("stop "+nodeLocalName, func(context.Context) error { return ns.Own.Stop(nodeLocalName) }); err != nil {
		return err
	}
	spec := program.Spec{Name: nodeLocalName, Argv: []string{filepath.Join(filepath.Dir(self), "relapse-coredns"), "--conf", corefile}}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode().IsRegular() {
		spec.Logs = "/proc/self/fd/2" // the agent's own log, which is kept with the run
	}
	if err := ns.Own.Start(spec); err != nil {
		return err
	}
	_, err = ns.Own.Send(ctx, program.Input{Name: nodeLocalName, Expect: `"synced":0`})
	return err
}

// awaitUpstream waits until the upstream accepts a connection.
func (c *NodeLocalCache) awaitUpstream(ctx context.Context) error {
	err := await.Until(ctx, upstreamLimit, upstreamEvery, func(ctx context.Context) (string, error) {
		conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", net.JoinHostPort(c.Upstream, "53"))
		if err != nil {
			return "", err
		}
		return "", await.Stop(conn.Close())
	})
	if err != nil {
		return fmt.Errorf("the node cannot reach the upstream: %w", err)
	}
	return nil
}

// corefile is the addon's configuration, less the zones that the lab does not have. Source: Kubernetes
// cluster/addons/dns/nodelocaldns/nodelocaldns.yaml.
func (c *NodeLocalCache) corefile() string {
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
`, NodeLocalAddress, ClusterDNS, c.Upstream)
}

// Keys are its numbers.
func (c *NodeLocalCache) Keys() units.Keys {
	keys := c.addresses.Keys()
	keys["caches"] = units.Key{Means: "caches that listen: 1 on each node", Kind: units.Gauge}
	return keys
}

// Readings are those of nodelocal-addresses, and whether the cache listens.
func (c *NodeLocalCache) Readings(ctx context.Context) (map[string]float64, error) {
	readings, err := c.addresses.Readings(ctx)
	if err != nil {
		return nil, err
	}
	ports, err := c.programs.Ports(ctx, nodeLocalName)
	readings["caches"] = 0
	if slices.Contains(ports, 53) {
		readings["caches"] = 1
	}
	return readings, err
}
