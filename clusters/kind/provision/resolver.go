package provision

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/outside"
)

// turnResolver makes the nodes, and with them CoreDNS, ask the DNS server of relapse's own outside. The engine's would pass questions
// on from the machine itself, where no fence is. The nodes find each other by /etc/hosts then.
func (m *maker) turnResolver(ctx context.Context) error {
	if m.Spec.AllowEgress {
		return nil
	}
	var hosts strings.Builder
	for _, n := range m.Nodes {
		fmt.Fprintf(&hosts, "%s %s\n", n.Address, n.Container)
	}
	var errs []error
	for _, n := range m.Nodes {
		// In place: both files are mounts of the engine's.
		script := "cat >>/etc/hosts; echo nameserver " + outside.DNS + " >/etc/resolv.conf"
		if out, err := m.run(ctx, n.Container, hosts.String(), "sh", "-euc", script); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w: %s", n.Container, err, out))
		}
	}
	return errors.Join(errs...)
}
