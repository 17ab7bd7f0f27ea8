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

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Labels of a cluster's network. Other processes know a cluster only by them.
const (
	labelCluster = "relapse.dev/cluster"
	labelProxy   = "relapse.dev/proxy"
	labelCNI     = "relapse.dev/cni"
	labelImage   = "relapse.dev/node-image"
	labelEgress  = "relapse.dev/egress"
	// Labels that start with labelOwner, in lower case, are the run's environment: see runstate.Abandoned.
	labelOwner = "relapse.dev/owner-"
)

// newInstance distinguishes clusters that have the same name one after the other.
func newInstance() string {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails: see crypto/rand
	return hex.EncodeToString(random[:])
}

// bridgeOf is the name of the link of an instance's network. It is as long as a link's name can be.
func bridgeOf(instance string) string { return undo.Prefix + instance }

// network is the engine's network of a cluster.
type network struct {
	Name   string
	Labels map[string]string
	IPAM   struct{ Config []struct{ Subnet string } }
}

func (n network) instance() string { return n.Labels[containers.LabelInstance] }

func (n network) subnet() (netip.Prefix, error) {
	for _, config := range n.IPAM.Config {
		if prefix, err := netip.ParsePrefix(config.Subnet); err == nil && prefix.Addr().Is4() {
			return prefix.Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("the engine's network %s has no IPv4 addresses", n.Name)
}

// networks lists the networks of all relapse clusters, or of the cluster with this name.
func networks(ctx context.Context, docker containers.Engine, name string) ([]network, error) {
	args := []string{"network", "ls", "--quiet", "--no-trunc", "--filter", "label=" + labelCluster}
	if name != "" {
		args = append(args, "--filter", "label="+labelCluster+"="+name)
	}
	ids, err := docker.Run(ctx, args...)
	if err != nil || ids == "" {
		return nil, err
	}
	text, err := docker.Run(ctx, append([]string{"network", "inspect"}, strings.Fields(ids)...)...)
	if err != nil {
		return nil, err
	}
	var all []network
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("%s network inspect: %w", docker.Program, err)
	}
	return all, nil
}

// makeNetwork makes the network, with a bridge of a known name.
func (m *maker) makeNetwork(ctx context.Context) error {
	args := []string{"network", "create", "--driver", "bridge", "--opt", "com.docker.network.bridge.name=" + m.Bridge}
	// As kind does. Otherwise a network would have an MTU of 1500, whatever the engine's configuration says.
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

// checkBridge checks that the engine's bridge is in this network namespace, so that rules can be made for it.
func (m *maker) checkBridge() error {
	_, err := netlink.LinkByName(m.Bridge)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return fmt.Errorf("the engine's bridge %s is not in this network namespace: the engine is rootless, remote or in a virtual machine, so no fence can be made: use a local engine that runs as root", m.Bridge)
	}
	return err
}
