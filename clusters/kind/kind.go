// Package kind runs scenarios on real Kubernetes: clusters of kind, whose nodes are containers of an engine on this machine.
// The real kubelet, kube-proxy, CoreDNS and CNI plugins do what they do in production; relapse adds an agent on each node.
package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/fingerprint"
	"github.com/relapse-k8s/relapse/harness/guard"
	"github.com/relapse-k8s/relapse/harness/runstate"
)

// Options are what to run on.
type Options struct {
	// Bin is the folder of relapse-agent and relapse-coredns.
	Bin string
	// Cluster is one that is there already, by its name. Without it a cluster is made, and deleted at the end.
	Cluster string
	// Spec of the cluster to make. Its name is chosen here.
	Spec provision.Spec
	// Command is what a person would type to do this again.
	Command []string
	// Logs is the folder for the logs of what makes clusters.
	Logs string
}

// Kind is the provider. It has one cluster, on which the clusters of lanes are workloads, one after the other.
type Kind struct {
	Options

	state *runstate.Run
	guard *guard.Guard
	claim *os.File
	image *agents.Image
	// log is for what the agents complain about.
	log *os.File

	mu      sync.Mutex
	cluster *provision.Cluster
	objects *objects
	// nodes are agents that outlive lanes, for looks at the nodes between them.
	nodes map[string]*agent.Conn
	// pristine is what the nodes look like without any workload.
	pristine map[string]fingerprint.Fingerprint
	// system are the cluster's own pods then.
	system map[types.UID]corev1.Pod
	// condemned is why no lane may use the cluster any more.
	condemned string
	// made counts the clusters.
	made int
}

// New returns a Kind.
func New(o Options) *Kind {
	// What the Kubernetes packages log is not for the terminal; errors that matter are returned.
	klog.SetLogger(logr.Discard())
	return &Kind{Options: o}
}

// Name is kind.
func (k *Kind) Name() string { return "kind" }

// AtOnce is 1: workloads that share nodes would share faults.
func (k *Kind) AtOnce() int { return 1 }

// Open makes the cluster, or takes the one that is there, and puts agents on its nodes.
func (k *Kind) Open(ctx context.Context) error {
	if err := k.open(ctx); err != nil {
		return errors.Join(err, k.Close(context.WithoutCancel(ctx)))
	}
	return nil
}

func (k *Kind) open(ctx context.Context) (err error) {
	if err := os.MkdirAll(k.Logs, 0o755); err != nil {
		return err
	}
	if k.log, err = os.OpenFile(filepath.Join(k.Logs, "agents.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return err
	}
	k.tell("putting the agent's image together")
	if k.image, err = agents.Build(ctx, k.Bin); err != nil {
		return err
	}
	if k.Cluster != "" {
		if k.claim, err = provision.Claim(k.Cluster); err != nil {
			return err
		}
		if k.cluster, err = provision.Open(ctx, k.Cluster); err != nil {
			return err
		}
		return k.outfit(ctx)
	}
	if k.state, err = runstate.New("kind", k.Command); err != nil {
		return err
	}
	log := filepath.Join(k.Logs, "cluster-"+k.state.ID+".log")
	if k.guard, err = guard.Start(ctx, filepath.Join(k.Bin, "relapse-agent"), log, k.state); err != nil {
		return errors.Join(err, k.state.Remove())
	}
	return k.create(ctx)
}

// create makes a cluster of this provider's own.
func (k *Kind) create(ctx context.Context) error {
	k.made++
	spec := k.Spec
	spec.Name = fmt.Sprintf("%s-%d", runstate.ObjectPrefix(k.state.ID), k.made)
	spec.Logs = filepath.Join(k.Logs, "cluster-"+k.state.ID)
	spec.Progress = k.tell
	cluster, err := provision.Create(ctx, spec, k.guard)
	if err != nil {
		return err
	}
	k.cluster = cluster
	return k.outfit(ctx)
}

// outfit puts agents on the nodes of a cluster, shows them the way outside, and sees for itself that the cluster serves. No lane may use
// one where that did not go well.
func (k *Kind) outfit(ctx context.Context) (err error) {
	defer func() {
		k.condemned = ""
		if err != nil {
			k.condemned = err.Error()
		}
	}()
	if k.objects, err = newObjects(k.cluster.Config); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"loading the agent's image", k.load},
		{"starting the agents", k.install},
		{"taking away what a run that died has left", k.sweep},
		{"leading the way outside", k.leadOutside},
		{"waiting until it serves", k.serves},
		{"looking at the nodes", k.look},
	} {
		k.tell(step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("kind cluster %s: %s: %w", k.cluster.Spec.Name, step.what, err)
		}
	}
	return nil
}

func (k *Kind) load(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "relapse-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	archive := filepath.Join(dir, "agent.tar")
	if err := k.image.Save(archive); err != nil {
		return err
	}
	return k.cluster.Load(ctx, archive)
}

func (k *Kind) install(ctx context.Context) error {
	owner, err := runstate.Self()
	if err != nil {
		return err
	}
	if err := agents.Install(ctx, k.cluster.Client, k.image.Ref(), owner, k.tell); err != nil {
		return err
	}
	k.nodes = map[string]*agent.Conn{}
	for _, node := range k.cluster.Nodes {
		conn, err := k.dial(ctx, node, "node/"+node.Name, "cluster", "node")
		if err != nil {
			return err
		}
		k.nodes["node/"+node.Name] = conn
	}
	return nil
}

// uninstall takes the agents away, and their namespace. That stays where it holds what has not come back yet.
func (k *Kind) uninstall(ctx context.Context) error {
	if err := k.restoreFormers(ctx); err != nil {
		return err
	}
	return agents.Uninstall(ctx, k.cluster.Client)
}

// dial starts an agent on a node: command RUN PLACE, or command ID RUN PLACE for what is in a container.
func (k *Kind) dial(ctx context.Context, node provision.Node, place, run string, command ...string) (*agent.Conn, error) {
	args := append(slices.Clone(command), run, place)
	return agents.Dial(ctx, k.cluster.Config, k.cluster.Client, node.Container, place, k.log, args...)
}

func (k *Kind) tell(doing string) {
	if k.Spec.Progress != nil {
		k.Spec.Progress(doing)
	}
}

// Close deletes the cluster that Open made. On one that was there before, the agents' image and the nodes' route to the outside stay.
func (k *Kind) Close(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	var errs []error
	for _, conn := range k.nodes {
		_ = conn.Close() // the agents end with the streams
	}
	k.nodes = nil
	if k.claim != nil {
		if k.cluster != nil && k.objects != nil {
			errs = append(errs, k.uninstall(ctx))
		}
		errs = append(errs, k.claim.Close())
		k.claim = nil
	}
	if k.guard != nil {
		k.tell("deleting the cluster")
		if k.cluster != nil {
			errs = append(errs, k.cluster.Delete(ctx)) // also where the guard has died
		}
		errs = append(errs, k.guard.Close(), k.state.Close())
		k.guard = nil
	}
	if k.log != nil {
		errs = append(errs, k.log.Close())
		k.log = nil
	}
	k.cluster = nil
	return errors.Join(errs...)
}

// Check leaves most to the API server; kinds that go with a workload, and images, are relapse's own affair.
func (k *Kind) Check(workload [][]byte) []error {
	return append(checkKinds(workload), checkImages(workload)...)
}

// Offers are the kernel's, the image's programs, and what a CNI enforces.
func (k *Kind) Offers(ctx context.Context) (map[string]clusters.Offer, error) {
	offers, err := local.Offers(ctx, k.Bin)
	if err != nil {
		return nil, err
	}
	programs := k.image.Programs()
	for _, name := range images.Names() {
		version, ok := programs[name]
		offers[name] = clusters.Offer{OK: ok, Why: "the agent's image has " + name + " " + version}
		if !ok {
			offers[name] = clusters.Offer{Why: "the agent's image has no " + name + ": " + agents.Lacking(name)}
		}
	}
	offers["kubernetes"] = clusters.Offer{OK: true, Why: "kind"}
	policy := clusters.Offer{OK: k.cluster.Spec.CNI == "kindnet", Why: "the CNI " + k.cluster.Spec.CNI + " enforces NetworkPolicies"}
	if !policy.OK {
		policy.Why = "the CNI " + k.cluster.Spec.CNI + " enforces no NetworkPolicy"
	}
	offers["network-policy"] = policy
	return offers, nil
}

// Versions of what the cluster runs.
func (k *Kind) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{"cni": k.cluster.Spec.CNI}
	maps.Copy(versions, k.image.Programs())
	if server, err := k.cluster.Client.Discovery().ServerVersion(); err == nil {
		versions["kubernetes"] = server.GitVersion
		versions["kube-proxy"] = server.GitVersion
	}
	maps.Copy(versions, k.objects.imageVersions(ctx))
	return versions
}

// Differences says where such a cluster is not one in production.
func (k *Kind) Differences() []string {
	return []string{
		"Nodes are containers on this machine's one kernel: nf_conntrack_max, the conntrack hash table and neighbour limits are common to them.",
		"Pods of a scenario run relapse's own image, put together from this machine's files; their programs are children of a supervisor, which restart-container and the log readers speak to. A rollout would make new pods.",
		"Pods are told their node by a nodeSelector, in turn as in the lab, so that a scenario finds them where it expects them.",
		"CoreDNS asks a DNS server of relapse's own about names outside of the cluster, and no packet gets past the engine's bridge to this machine's networks.",
		"kube-proxy leaves net.netfilter.nf_conntrack_tcp_be_liberal at 0, as kubeadm does; kind by itself sets it, which cures the resets by INVALID segments.",
		"The kubelet starts a container that ended again after one second at most.",
		"A changed dnsConfig rewrites the pod's resolv.conf in place, where a cluster would make new pods.",
	}
}

// node returns the cluster's node of this name.
func (k *Kind) node(name string) (provision.Node, bool) {
	i := slices.IndexFunc(k.cluster.Nodes, func(n provision.Node) bool { return n.Name == strings.TrimPrefix(name, "node/") })
	if i < 0 {
		return provision.Node{}, false
	}
	return k.cluster.Nodes[i], true
}
