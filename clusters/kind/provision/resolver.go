package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/outside"
)

// setResolver makes the nodes, and with them CoreDNS, use the DNS server of the place outside. The engine's server would forward queries
// from the machine itself, outside the fence. The nodes then find each other by /etc/hosts.
func (m *maker) setResolver(ctx context.Context) error {
	if m.Spec.AllowEgress {
		return nil
	}
	var hosts strings.Builder
	for _, n := range m.Nodes {
		fmt.Fprintf(&hosts, "%s %s\n", n.Address, n.Container)
	}
	var errs []error
	for _, n := range m.Nodes {
		// Written in place, because the engine mounts both files.
		script := "cat >>/etc/hosts; echo nameserver " + outside.DNS + " >/etc/resolv.conf"
		if out, err := m.run(ctx, n.Container, hosts.String(), "sh", "-euc", script); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w: %s", n.Container, err, out))
		}
	}
	return errors.Join(errs...)
}
