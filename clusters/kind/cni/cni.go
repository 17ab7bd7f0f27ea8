// Package cni has the CNI plugins that a kind cluster can have, one file for each; versions.go pins their images. To add a plugin, add a
// file and a line in Plugins.
package cni

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"

	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/ownimage"
)

// Plugin is how the pods of a cluster get their network.
type Plugin struct {
	// ByKind means that kind installs it, from the node image.
	ByKind bool
	// Published is what its project publishes, from which it is deployed. It is nil for those that are not.
	Published *Published
	// ReplacesProxy says that it can do kube-proxy's work on a cluster without one.
	ReplacesProxy bool
	// Install makes nodes Ready. It is called once, when all nodes have joined and the archives are loaded. It is nil if there is nothing to
	// do.
	Install func(ctx context.Context, on Nodes) error
	// Manifest must be in the node image and contain this text.
	Manifest, Text string
	// Own puts together the image of the plugin's pods, from programs in relapse's folder bin. It is nil if they have none of relapse's.
	Own func(ctx context.Context, bin string) (*ownimage.Image, error)
	// Policies says that it enforces NetworkPolicies.
	Policies bool
	// Routes says that nodes reach each other's pods by routes alone.
	Routes bool
	// HostLocal says that the nodes' configuration names the IPAM plugin host-local with a range.
	HostLocal bool
	// Flows is its log of what policies dropped, or nil if relapse reads none.
	Flows *FlowLog
	// EBPF says that its programs forward packets between pods and translate Services, past netfilter and also past kube-proxy's rules.
	EBPF bool
	// Bridge says that the pods of a node are ports of one bridge, and Overlay that packets between nodes pass a VXLAN device.
	Bridge, Overlay bool
	// DropsInvalid says that its rules drop packets of pods that conntrack calls INVALID.
	DropsInvalid bool
	// CutsConnections says that a new policy also cuts connections that are open.
	CutsConnections bool
}

// Plugins by the name of the setting.
var Plugins = map[string]Plugin{
	"plain":   plain,
	"kindnet": kindnet,
	"flannel": flannel,
	"none":    none,
	"calico":  calico,
	"cilium":  cilium,
}

// Find returns a plugin by its name.
func Find(name string) (Plugin, error) {
	plugin, ok := Plugins[name]
	if !ok {
		return plugin, fmt.Errorf("invalid --cni %q: must be one of %s", name, strings.Join(Names(), ", "))
	}
	return plugin, nil
}

// Names of the plugins.
func Names() []string { return slices.Sorted(maps.Keys(Plugins)) }

// Nodes are the nodes that a plugin is installed on.
type Nodes struct {
	Client kubernetes.Interface
	// Objects creates objects of any kind.
	Objects *kubeobjects.Client
	// Names of the nodes, the same in Kubernetes and in the engine.
	Names []string
	// PodCIDR is the network of all pods.
	PodCIDR string
	// Image is the reference of the plugin's own image, which the nodes have.
	Image string
	// Run runs a command on a node, with this standard input, and returns its output.
	Run func(ctx context.Context, node, input string, argv ...string) (string, error)
}
