package provision

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// Labels of a cluster's network. They are all that is known of a cluster to those who have not made it.
const (
	labelCluster = "relapse.dev/cluster"
	labelProxy   = "relapse.dev/proxy"
	labelCNI     = "relapse.dev/cni"
	labelImage   = "relapse.dev/node-image"
	labelEgress  = "relapse.dev/egress"
	// labelOwner and what follows it, in small letters, are the run's environment: see runstate.Abandoned.
	labelOwner = "relapse.dev/owner-"
)

// newInstance tells clusters apart that have the same name, one after the other.
func newInstance() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails: see crypto/rand
	return hex.EncodeToString(random[:])
}

// bridgeOf is the link of an instance's network: the longest name that a link can have.
func bridgeOf(instance string) string { return undo.Prefix + instance }

// network is the engine's network of a cluster.
type network struct {
	Name   string
	Labels map[string]string
	IPAM   struct{ Config []struct{ Subnet string } }
}

func (n network) instance() string { return n.Labels[undo.LabelInstance] }

func (n network) subnet() (netip.Prefix, error) {
	for _, config := range n.IPAM.Config {
		if prefix, err := netip.ParsePrefix(config.Subnet); err == nil && prefix.Addr().Is4() {
			return prefix.Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("the engine's network %s has no IPv4 addresses", n.Name)
}

// networks lists those of relapse's clusters, or of the one with this name.
func networks(ctx context.Context, engine undo.Engine, name string) ([]network, error) {
	args := []string{"network", "ls", "--quiet", "--no-trunc", "--filter", "label=" + labelCluster}
	if name != "" {
		args = append(args, "--filter", "label="+labelCluster+"="+name)
	}
	ids, err := engine.Run(ctx, args...)
	if err != nil || ids == "" {
		return nil, err
	}
	text, err := engine.Run(ctx, append([]string{"network", "inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		return nil, err
	}
	var all []network
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("%s network inspect: %w", engine.Program, err)
	}
	return all, nil
}

// makeNetwork makes the network with a bridge whose name is known.
func (m *maker) makeNetwork(ctx context.Context) error {
	args := []string{"network", "create", "--driver", "bridge", "--opt", "com.docker.network.bridge.name=" + m.Bridge}
	// As kind does: a network would have 1500 whatever the engine was told.
	mtu, err := m.engine.Run(ctx, "network", "inspect", "bridge", "--format", `{{index .Options "com.docker.network.driver.mtu"}}`)
	if err == nil && mtu != "" && mtu != "<no value>" {
		args = append(args, "--opt", "com.docker.network.driver.mtu="+mtu)
	}
	for key, value := range m.labels() {
		args = append(args, "--label", key+"="+value)
	}
	if _, err := m.engine.Run(ctx, append(args, m.Network)...); err != nil {
		return err
	}
	found, err := networks(ctx, m.engine, m.Network)
	if err != nil {
		return err
	}
	if len(found) != 1 || found[0].instance() != m.instance {
		return fmt.Errorf("the engine's network %s is not the one that was just made", m.Network)
	}
	m.Subnet, err = found[0].subnet()
	return err
}

// checkBridge wants the engine's bridge to be where rules can be made for it.
func (m *maker) checkBridge() error {
	_, err := netlink.LinkByName(m.Bridge)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return fmt.Errorf("the engine's bridge %s is not in this network namespace: the engine is rootless, remote or in a virtual machine; no fence can be put up here", m.Bridge)
	}
	return err
}
