// Package provision makes and deletes kind clusters: the engine's network, a fence around it, nodes, a CNI. It uses kind's packages; kind
// calls the engine's client program.
package provision

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Networks inside a cluster. The pods' network is the lab's; the Services' network is kind's default.
const (
	PodCIDR     = "10.244.0.0/16"
	ServiceCIDR = "10.96.0.0/16"
)

// Spec is a cluster to make.
type Spec struct {
	// Name of the cluster: a DNS label that starts with relapse.
	Name string
	// Nodes is the number of nodes, 1 to MaxNodes. With 1, the control plane is node-1. With more, node-1 and so on are workers, and the last
	// one is the control plane. Pods may run on the control plane too. With two workers or more CoreDNS runs only there, because faults belong
	// to the workers.
	Nodes int
	// Proxy is kube-proxy's mode: iptables, nftables, ipvs or none.
	Proxy string
	// CNI is one of cni.Plugins.
	CNI string
	// Bin is the folder of relapse's own programs, which a CNI's image may be put together from.
	Bin string
	// Image of the nodes. The default is the project's own image if the engine has it, otherwise kind's default.
	Image string
	// Archives of images to load into every node. An archive with the nodes' image is loaded into the engine.
	Archives []string
	// Folder has the file that the CNI's project publishes, and archives of its images. Without it they are downloaded.
	Folder string
	// AllowEgress lets packets of the nodes leave the machine.
	AllowEgress bool
	// Logs is the folder for everything that explains why a cluster did not become ready. Without it nothing is kept.
	Logs string
	// Limit is how long nodes, CoreDNS and kube-proxy may take to become ready after the nodes have joined. 0 means three minutes; less than
	// 0 means not to wait.
	Limit time.Duration
	// Stay is for a cluster that outlives its run.
	Stay bool
	// Progress, if not nil, is called with each step.
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

// Cluster is an existing cluster.
type Cluster struct {
	Spec  Spec
	Nodes []Node
	// Network is the engine's network, Bridge its link on this machine, Subnet its addresses.
	Network, Bridge string
	Subnet          netip.Prefix
	Config          *rest.Config
	Client          kubernetes.Interface
	// Notes are what a report should say about the cluster, one sentence each.
	Notes []string

	engine   containers.Engine
	instance string
	made     *ledger

	// ran guards what the engine said last about whether the nodes run.
	ran    sync.Mutex
	ranAt  time.Time
	ranErr error
}

const (
	// MaxNodes are the control plane and two workers for each of a dozen lanes.
	MaxNodes = 25
	// maxName leaves room for -control-plane in a host's name.
	maxName = 49
)

var (
	dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	proxies  = []string{"iptables", "nftables", "ipvs", "none"}
)

// FullName turns a cluster's short name into its name: dev is relapse-dev.
func FullName(name string) string {
	if strings.HasPrefix(name, undo.Prefix) {
		return name
	}
	return undo.Prefix + "-" + name
}

// withDefaults fills in what is not set.
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
		s.Limit = limits.ClusterReady
	}
	return s
}

// Check returns everything that is wrong with the spec itself.
func (s Spec) Check() error {
	var errs []error
	if !strings.HasPrefix(s.Name, undo.Prefix) {
		errs = append(errs, fmt.Errorf("cluster name %q must start with %q", s.Name, undo.Prefix))
	} else if !dnsLabel.MatchString(s.Name) || len(s.Name) > maxName {
		errs = append(errs, fmt.Errorf("invalid --name %q: must be lower case letters, digits and dashes, at most %d characters",
			strings.TrimPrefix(s.Name, undo.Prefix+"-"), maxName-len(undo.Prefix+"-")))
	}
	if s.Nodes < 0 || s.Nodes > MaxNodes {
		errs = append(errs, fmt.Errorf("invalid --nodes %d: must be 1 to %d", s.Nodes, MaxNodes))
	}
	if s.Proxy != "" && !slices.Contains(proxies, s.Proxy) {
		errs = append(errs, fmt.Errorf("invalid --proxy %q: must be one of %s", s.Proxy, strings.Join(proxies, ", ")))
	}
	if s.CNI != "" {
		plugin, err := cni.Find(s.CNI)
		if s.Proxy == "none" && plugin.Published != nil && !plugin.ReplacesProxy {
			err = fmt.Errorf("--cni %s needs kube-proxy, so --proxy cannot be none", s.CNI)
		}
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

// missing is an error that says what this machine does not have.
type missing struct{ error }

func (missing) Is(target error) bool { return target == clusters.ErrMissing }

func (m missing) Unwrap() error { return m.error }

// lacks is what a search for something on this machine failed with, or why it was interrupted: that shows nothing about the machine.
func lacks(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return missing{err}
}

// Available returns the node image that clusters get by default. The error says what this machine does not have.
func Available(ctx context.Context) (string, error) {
	m := &maker{Cluster: &Cluster{}}
	var err error
	if m.engine, err = findEngine(ctx); err != nil {
		return "", err
	}
	err = m.nodeImage(ctx)
	return m.Spec.Image, err
}

// findEngine finds the container engine. That it does not answer is clusters.ErrMissing, with what its client said last.
func findEngine(ctx context.Context) (containers.Engine, error) {
	docker, err := containers.Find(ctx)
	if err != nil {
		said := err.Error()
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			_, said, _ = strings.Cut(said, exit.Error()+": ")
		} else if errors.Is(err, exec.ErrNotFound) {
			said = "its program docker is not on the PATH"
		}
		said = strings.TrimRight(strings.TrimSuffix(said[strings.LastIndexByte(said, '\n')+1:], " Is the docker daemon running?"), ". ")
		return docker, lacks(ctx, fmt.Errorf("Docker does not answer: %s. Start Docker, or set DOCKER_HOST", said))
	}
	return docker, nil
}
