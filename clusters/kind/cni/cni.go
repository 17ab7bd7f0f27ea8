// Package cni has the CNI plugins that a kind cluster can have, a file each; versions.go pins their images. The next one is a file
// and a line in Plugins.
package cni

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/kubernetes"
)

// Plugin is how the pods of a cluster get their network.
type Plugin struct {
	// ByKind says that kind installs it, from what the node image has.
	ByKind bool
	// Images that the nodes must be given, beside those of the node image.
	Images []string
	// Install makes nodes Ready. It is called once, when all nodes have joined and the archives are loaded; nil where there is
	// nothing to do.
	Install func(ctx context.Context, on Nodes) error
	// Manifest has to be in the node image, and to have this text in it.
	Manifest, Text string
}

// Plugins by the name of the setting.
var Plugins = map[string]Plugin{
	"plain":   plain,
	"kindnet": kindnet,
	"none":    none,
}

// Find returns a plugin by its name.
func Find(name string) (Plugin, error) {
	plugin, ok := Plugins[name]
	if !ok {
		return plugin, fmt.Errorf("there is no CNI %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return plugin, nil
}

// Names of the plugins.
func Names() []string { return slices.Sorted(maps.Keys(Plugins)) }

// Nodes are the nodes that a plugin is installed on.
type Nodes struct {
	Client kubernetes.Interface
	// Names of the nodes, which are Kubernetes' and the engine's.
	Names []string
	// PodCIDR is the network of all pods.
	PodCIDR string
	// Run runs a command on a node, with this standard input, and returns what it printed.
	Run func(ctx context.Context, node, input string, argv ...string) (string, error)
}
