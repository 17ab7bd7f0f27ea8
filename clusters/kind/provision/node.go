package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/constants"
	"sigs.k8s.io/kind/pkg/cluster/nodes"
)

// kindProvider asks kind about existing clusters.
func kindProvider() *cluster.Provider { return cluster.NewProvider(cluster.ProviderWithDocker()) }

// ask calls kind, which does not take a context, and stops waiting for it when ctx ends: the engine's client hangs if a node does.
func ask[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	go func() {
		value, err := call()
		answered <- answer{value, explain(err)}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// find fills in the nodes, and a client of the API server.
func (c *Cluster) find(ctx context.Context) (err error) {
	c.Nodes, err = ask(ctx, func() ([]Node, error) {
		handles, err := kindProvider().ListInternalNodes(c.Spec.Name)
		if err != nil {
			return nil, err
		}
		return order(handles, c.Spec.Name)
	})
	if err != nil {
		return err
	}
	if len(c.Nodes) == 0 {
		return errors.New("its nodes are gone; delete it with relapse cluster delete")
	}
	text, err := c.Kubeconfig(ctx)
	if err != nil {
		return err
	}
	if c.Config, err = clientcmd.RESTConfigFromKubeConfig([]byte(text)); err != nil {
		return err
	}
	// The harness sends many requests at once, and nobody else uses this API server.
	c.Config.QPS = -1
	c.Config.WarningHandler = rest.NoWarnings{} // they would be printed
	c.Client, err = kubernetes.NewForConfig(c.Config)
	return err
}

// Kubeconfig returns the configuration for kubectl on this machine.
func (c *Cluster) Kubeconfig(ctx context.Context) (string, error) {
	return ask(ctx, func() (string, error) { return kindProvider().KubeConfig(c.Spec.Name, false) })
}

// order names the nodes as scenarios do: first the workers, by their numbers, and then the control plane.
func order(handles []nodes.Node, name string) ([]Node, error) {
	var all []Node
	for _, handle := range handles {
		role, err := handle.Role()
		if err != nil {
			return nil, err
		}
		node := Node{Container: handle.String(), Role: role}
		ipv4, _, err := handle.IP()
		if err != nil {
			return nil, err
		}
		if ipv4 != "" { // a node that has ended has no address
			if node.Address, err = netip.ParseAddr(ipv4); err != nil {
				return nil, fmt.Errorf("node %s: %w", node.Container, err)
			}
		}
		all = append(all, node)
	}
	slices.SortFunc(all, func(a, b Node) int { return rank(a, name) - rank(b, name) })
	for i := range all {
		all[i].Name = fmt.Sprintf("node-%d", i+1)
	}
	return all, nil
}

// rank is a node's position: kind calls workers NAME-worker, NAME-worker2 and so on.
func rank(n Node, name string) int {
	if n.Role == constants.ControlPlaneNodeRoleValue {
		return MaxNodes + 1
	}
	number, err := strconv.Atoi(strings.TrimPrefix(n.Container, name+"-worker"))
	if err != nil {
		return 1
	}
	return number
}

// controlPlane is the node with the API server.
func (c *Cluster) controlPlane() string {
	return c.Spec.Name + "-" + constants.ControlPlaneNodeRoleValue
}

// run runs a command on a node and returns its output, including standard error.
func (c *Cluster) run(ctx context.Context, node, input string, argv ...string) (string, error) {
	args := []string{"exec", "--privileged"}
	if input != "" {
		args = append(args, "--interactive")
	}
	cmd := exec.CommandContext(ctx, c.engine.Program, append(append(args, node), argv...)...)
	if input != "" {
		cmd.Stdin = strings.NewReader(input)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// combined runs the engine's client and returns its output, including standard error.
func (c *Cluster) combined(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, c.engine.Program, args...).CombinedOutput()
	return string(out), err
}
