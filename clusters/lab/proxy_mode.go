package lab

import (
	"context"
	"path/filepath"
	"regexp"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
)

// kubeProxy is the name of kube-proxy's code on each node.
const kubeProxy = "kube-proxy"

// kubeProxyOf is kube-proxy's code on the nth node.
func (c *cluster) kubeProxyOf(n int, mode string, more ...string) program.Spec {
	return program.Spec{Name: kubeProxy, Network: true, Argv: append([]string{
		filepath.Join(c.lab.Bin, "relapse-kube-proxy"), "--mode", mode, "--node-name", nodeNames(c.spec.Nodes)[n], "--node-ip", nodeIP(n),
		"--cluster-cidr", podCIDR.String(), "--service-cidr", serviceCIDR.String(), "--metrics-bind-address", proxyMetrics,
	}, more...)}
}

// ProxyMode is the one that kube-proxy was last started in.
func (c *cluster) ProxyMode() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.proxyMode
}

// SetProxyMode starts kube-proxy again in another mode on all nodes, and returns when it has programmed all Services.
func (c *cluster) SetProxyMode(ctx context.Context, mode string) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	if mode == c.ProxyMode() {
		return nil
	}
	group, nodes := errgroup.WithContext(ctx)
	for n, name := range nodeNames(c.spec.Nodes) {
		group.Go(func() error {
			place := nodePlace(name)
			if _, err := program.Stop.Call(nodes, c.processes[place].Conn, kubeProxy, nil); err != nil {
				return err
			}
			return c.start(nodes, place, c.kubeProxyOf(n, mode, "--clean-up"))
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	c.mu.Lock()
	c.proxyMode, c.otherMode = mode, true
	c.mu.Unlock()
	return c.tell(ctx)
}

// leftByModes is what kube-proxy leaves on a node when it is started in another mode and back. Its iptables mode lets packets to 127.0.0.1 in
// (localhostNodePorts), and does not remove the chain KUBE-FIREWALL; and each start may write its rules in another order.
var leftByModes = regexp.MustCompile(`^(nft table ip6? ((filter|nat|mangle) appeared|(filter|nat|mangle|kube-proxy): the same lines in another order)|sysctl net\.ipv4\.conf\.all\.route_localnet: 0 -> 1)$`)

// Renewed says what follows from kube-proxy's other mode.
func (c *cluster) Renewed(context.Context) (what string, follows func(difference string) bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.otherMode {
		return "", nil, nil
	}
	return "kube-proxy ran in another mode: it does not remove the chain KUBE-FIREWALL, or reset route_localnet.", leftByModes.MatchString, nil
}
