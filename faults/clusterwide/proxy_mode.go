package clusterwide

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/site"
)

// ProxyMode starts kube-proxy again in a mode, on all nodes, if it runs in another. It removes the rules of the other mode, as kube-proxy does.
// Connections that are open keep their entries in conntrack. Use it where the mode is the cause or the cure. It needs proxy-mode.
type ProxyMode struct {
	// Mode is kube-proxy's mode.
	Mode string `json:"mode" jsonschema:"enum=iptables,enum=nftables"`
}

// WholeCluster is true: it changes all nodes.
func (ProxyMode) WholeCluster() bool { return true }

func proxied(s *site.Scope) (clusters.Proxied, error) {
	cluster, ok := s.Cluster.(clusters.Proxied)
	if !ok {
		return nil, errors.New("kube-proxy's mode cannot be changed on this cluster; use --cluster lab")
	}
	return cluster, nil
}

// ApplyTo starts kube-proxy again.
func (c *ProxyMode) ApplyTo(ctx context.Context, s *site.Scope) error {
	cluster, err := proxied(s)
	if err != nil {
		return err
	}
	former := cluster.ProxyMode()
	if err := s.PushFunc("start kube-proxy in mode "+former, func(ctx context.Context) error { return cluster.SetProxyMode(ctx, former) }); err != nil {
		return err
	}
	return cluster.SetProxyMode(ctx, c.Mode)
}

// Keys are its numbers.
func (*ProxyMode) Keys() units.Keys {
	return units.Keys{"mode": {Means: "1 while kube-proxy runs in this mode on every node, and has programmed all Services", Kind: units.Share}}
}

// ReadFrom asks the cluster.
func (c *ProxyMode) ReadFrom(_ context.Context, s *site.Scope) (map[string]float64, error) {
	cluster, err := proxied(s)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"mode": 0}
	if cluster.ProxyMode() == c.Mode {
		values["mode"] = 1
	}
	return values, nil
}
