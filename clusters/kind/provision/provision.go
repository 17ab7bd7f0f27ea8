// Package provision makes and deletes kind clusters as such: the engine's network, a fence around it, nodes, a CNI. It uses kind's
// packages; kind in turn calls the engine's client program.
package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// Addresses inside of a cluster. The pods' are the lab's; the Services' are kubeadm's own choice for kind.
const (
	PodCIDR     = "10.244.0.0/16"
	ServiceCIDR = "10.96.0.0/16"
)

// Spec is a cluster to make.
type Spec struct {
	// Name of the cluster: a DNS label that starts with relapse.
	Name string
	// Nodes is how many there are, 1 to 9. With 1 the control plane is node-1. With more, node-1 and so on are the workers, and the
	// last one is the control plane, which pods may run on as well.
	Nodes int
	// Proxy is kube-proxy's mode: iptables, nftables, ipvs or none.
	Proxy string
	// CNI is one of cni.Plugins.
	CNI string
	// Image of the nodes; without one it is the project's own where the engine has it, else kind's default.
	Image string
	// Archives of images to load into every node. One that holds the nodes' image is loaded into the engine.
	Archives []string
	// AllowEgress lets packets of the nodes leave the machine.
	AllowEgress bool
	// Logs is the folder that everything goes to that explains why a cluster did not get ready; nothing is kept without one.
	Logs string
	// Limit is how long nodes, CoreDNS and kube-proxy may take to get ready once the nodes have joined. 0 is three minutes, and
	// with less than 0 nobody waits for them.
	Limit time.Duration
	// Stay is for a cluster that outlives its run.
	Stay bool
	// Progress, where not nil, hears what is being done.
	Progress func(string)
}

// Node is a node of a cluster.
type Node struct {
	// Name is what scenarios call it: node-1.
	Name string
	// Container is what Kubernetes and the engine call it.
	Container string
	// Role is control-plane or worker.
	Role    string
	Address netip.Addr
}

// Cluster is a cluster that is there.
type Cluster struct {
	Spec  Spec
	Nodes []Node
	// Network is the engine's, Bridge its link on this machine, Subnet its addresses.
	Network, Bridge string
	Subnet          netip.Prefix
	Config          *rest.Config
	Client          kubernetes.Interface

	engine   undo.Engine
	instance string
	made     *ledger
}

const (
	maxNodes = 9
	// maxName leaves room for -control-plane in a host's name.
	maxName = 49
)

var (
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	proxies  = []string{"iptables", "nftables", "ipvs", "none"}
)

// FullName is the name of a cluster that a person may have called by a short one: dev is relapse-dev.
func FullName(name string) string {
	if strings.HasPrefix(name, undo.Prefix) {
		return name
	}
	return undo.Prefix + "-" + name
}

// withDefaults fills in what was not said.
func (s Spec) withDefaults() Spec {
	if s.Nodes == 0 {
		s.Nodes = 1
	}
	if s.Proxy == "" {
		s.Proxy = "nftables"
	}
	if s.CNI == "" {
		s.CNI = "plain"
	}
	if s.Limit == 0 {
		s.Limit = readyLimit
	}
	return s
}

// Check says all that is wrong with the spec itself.
func (s Spec) Check() error {
	var errs []error
	if !dnsLabel.MatchString(s.Name) || len(s.Name) > maxName || !strings.HasPrefix(s.Name, undo.Prefix) {
		errs = append(errs, fmt.Errorf("a cluster's name is a DNS label of at most %d characters that starts with %q: %q is not", maxName, undo.Prefix, s.Name))
	}
	if s.Nodes < 0 || s.Nodes > maxNodes {
		errs = append(errs, fmt.Errorf("a cluster has 1 to %d nodes, not %d", maxNodes, s.Nodes))
	}
	if s.Proxy != "" && !slices.Contains(proxies, s.Proxy) {
		errs = append(errs, fmt.Errorf("there is no kube-proxy mode %q; there are %s", s.Proxy, strings.Join(proxies, ", ")))
	}
	if s.CNI != "" {
		_, err := cni.Find(s.CNI)
		errs = append(errs, err)
	}
	for _, archive := range s.Archives {
		_, err := os.Stat(archive)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (s Spec) tell(doing string) {
	if s.Progress != nil {
		s.Progress(doing)
	}
}

// Proxies lists kube-proxy's modes.
func Proxies() []string { return slices.Clone(proxies) }

// findEngine is undo.FindEngine with a hint.
func findEngine(ctx context.Context) (undo.Engine, error) {
	engine, err := undo.FindEngine(ctx)
	if err != nil {
		return engine, fmt.Errorf("kind needs a container engine that answers (start Docker, or set DOCKER_HOST): %w", err)
	}
	return engine, nil
}
