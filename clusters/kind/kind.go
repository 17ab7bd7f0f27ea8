// Package kind runs scenarios on real Kubernetes: kind clusters, whose nodes are containers on this machine. The real kubelet,
// kube-proxy, CoreDNS and CNI plugins do what they do in production; relapse adds an agent on each node.
package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/images"
	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/local"
)

// Options select the cluster.
type Options struct {
	// Bin is the folder of relapse-agent and relapse-coredns.
	Bin string
	// Cluster is the name of an existing cluster. Without it a cluster is made, and deleted at the end.
	Cluster string
	// Spec of the cluster to make. The provider chooses its name.
	Spec provision.Spec
	// NodesEach is how many workers a lane gets if lanes run side by side. They do on a cluster that has enough workers for two.
	NodesEach int
	// Command is the command line that repeats this.
	Command []string
	// Logs is the folder for the logs of making clusters.
	Logs string
	// AnyObject lets scenarios make objects that could hurt this machine.
	AnyObject bool
}

// Kind is the provider. It has one cluster; the lanes run on it as workloads, side by side if it has nodes for them.
type Kind struct {
	Options

	state *runstate.Run
	guard *guard.Guard
	claim *os.File
	image *agents.Image
	// log gets the standard error of the agents.
	log *os.File

	cluster *provision.Cluster
	objects *kubeobjects.Client
	// lock is for who has what of the cluster, and for making and deleting it.
	lock *semaphore.Weighted
	// all is the whole cluster, and parts are what lanes that run side by side have of it. Given is closed when a part is given back.
	all   *part
	parts []*part
	given chan struct{}
	// outside is the host beyond the cluster that the control plane uses while lanes have others of their own.
	outside *local.Process
	// system are the cluster's own pods without any workload.
	system map[types.UID]corev1.Pod
	// dirty is the reason why no lane may use the cluster any more; it is discarded before the next lane.
	dirty string
	// made counts the clusters.
	made int
}

// New returns a Kind.
func New(o Options) *Kind {
	// The logs of the Kubernetes packages must not reach the terminal. Errors that matter are returned.
	klog.SetLogger(logr.Discard())
	return &Kind{Options: o, lock: semaphore.NewWeighted(1)}
}

// Name is kind.
func (k *Kind) Name() string { return "kind" }

// AtOnce is how many lanes there are nodes for: workloads that share nodes would share faults.
func (k *Kind) AtOnce() int {
	if k.cluster == nil {
		return 1
	}
	return len(k.usable())
}

// Whole is true if an object is not in the default namespace, for which each lane has one of its own.
func (k *Kind) Whole(given [][]byte) bool {
	return slices.ContainsFunc(given, func(text []byte) bool { return !k.objects.InDefault(text) })
}

// Open makes the cluster, or opens the existing one, and starts agents on its nodes.
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
	k.tell("building the agent's image")
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
		return k.prepare(ctx)
	}
	if k.state, err = runstate.New("kind", k.Command); err != nil {
		return err
	}
	log := filepath.Join(k.Logs, "cluster-"+k.state.ID+".log")
	if k.guard, err = guard.Start(ctx, filepath.Join(k.Bin, "relapse-agent"), log, k.state); err != nil {
		return errors.Join(err, k.state.Remove())
	}
	return k.create(ctx, k.Spec.Nodes)
}

// create makes a cluster for this provider.
func (k *Kind) create(ctx context.Context, nodes int) error {
	k.made++
	spec := k.Spec
	spec.Nodes = nodes
	spec.Name = fmt.Sprintf("%s-%d", runstate.ObjectPrefix(k.state.ID), k.made)
	spec.Logs = filepath.Join(k.Logs, "cluster-"+k.state.ID)
	spec.Progress, spec.Bin = k.tell, k.Bin
	cluster, err := provision.Create(ctx, spec, k.guard)
	if err != nil {
		return err
	}
	k.cluster = cluster
	return k.prepare(ctx)
}

// prepare starts agents on the nodes of a cluster, adds the nodes' route to the outside, and checks that Services work. If that fails,
// the cluster is discarded.
func (k *Kind) prepare(ctx context.Context) (err error) {
	defer func() {
		k.dirty = ""
		if err != nil {
			k.dirty = err.Error()
		}
	}()
	if k.objects, err = kubeobjects.New(k.cluster.Config); err != nil {
		return err
	}
	k.all = &part{nodes: k.cluster.Nodes, namespace: metav1.NamespaceDefault}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"loading the agent's image", k.load},
		{"starting the agents", k.install},
		{"removing what dead runs left", k.sweep},
		{"dividing the nodes among lanes", k.divide},
		{"adding the route to the outside", k.addRouteOutside},
		{"waiting until Services work", k.serves},
		{"recording the state of the nodes", k.look},
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
	k.all.agents = map[string]*agent.Conn{}
	var mu sync.Mutex
	all, ctx := errgroup.WithContext(ctx)
	for _, node := range k.cluster.Nodes {
		all.Go(func() error {
			conn, err := k.dial(ctx, node, "node/"+node.Name, "cluster", "node")
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			k.all.agents["node/"+node.Name] = conn
			return nil
		})
	}
	return all.Wait()
}

// hangUp ends the agents that outlive lanes, and the control plane's outside host.
func (k *Kind) hangUp(ctx context.Context) error {
	if k.all != nil {
		for _, conn := range k.all.agents {
			_ = conn.Close() // the agents end with the streams
		}
		k.all.agents = nil
	}
	return k.endOutside(ctx)
}

// uninstall deletes the agents and their namespace. The namespace is kept if it holds originals that are not restored yet.
func (k *Kind) uninstall(ctx context.Context) error {
	if err := errors.Join(k.restoreFormers(ctx), k.takeAway(ctx, kubeobjects.RunLabel+"="+partsValue)); err != nil {
		return err
	}
	return agents.Uninstall(ctx, k.cluster.Client)
}

// dial starts an agent on a node: command RUN PLACE, or command ID RUN PLACE for a place in a container.
func (k *Kind) dial(ctx context.Context, node provision.Node, place, run string, command ...string) (*agent.Conn, error) {
	args := append(slices.Clone(command), run, place)
	return agents.Dial(ctx, k.cluster.Config, k.cluster.Client, node.Container, place, k.log, args...)
}

func (k *Kind) tell(doing string) {
	if k.Spec.Progress != nil {
		k.Spec.Progress(doing)
	}
}

// Close deletes the cluster that Open made. On an existing cluster, the agents' image and the nodes' route to the outside stay.
func (k *Kind) Close(ctx context.Context) error {
	if err := k.lock.Acquire(ctx, 1); err != nil {
		return err
	}
	defer k.lock.Release(1)
	errs := []error{k.sameAsBefore(ctx), k.hangUp(ctx)}
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
			errs = append(errs, k.cluster.Delete(ctx)) // even if the guard has died
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

// Check leaves most of it to the API server. It checks the images, and that no object could hurt this machine.
func (k *Kind) Check(workload [][]byte) []error {
	var errs []error
	for _, object := range workload {
		errs = append(errs, checkImages(object)...)
		if !k.AnyObject {
			errs = append(errs, checkHarmless(object)...)
		}
	}
	return errs
}

// Offers are the kernel's, those of the image's programs, and whether the CNI enforces network policies.
func (k *Kind) Offers(ctx context.Context) (map[string]offers.Offer, error) {
	found, err := local.Offers(ctx, k.Bin)
	if err != nil {
		return nil, err
	}
	programs := k.image.Programs()
	for _, name := range images.Names() {
		version, ok := programs[name]
		found[name] = offers.Offer{OK: ok, Why: "the agent's image has " + name + " " + version}
		if !ok {
			found[name] = offers.Offer{Why: "the agent's image has no " + name + ": " + agents.Lacking(name)}
		}
	}
	found["kubernetes"] = offers.Offer{OK: true, Why: "kind"}
	found["coredns-pods"] = offers.Offer{Why: "relapse has no agents in pods of kube-system"}
	found["external-addresses"] = offers.Offer{Why: "kind has no load balancers, and no route to external addresses of Services; use --cluster lab"}
	found["many-services"] = offers.Offer{Why: "the API server takes minutes for thousands of Services; use --cluster lab"}
	found["proxy-frozen"] = offers.Offer{Why: "relapse waits until all kube-proxies have the rules for a changed Service; use --cluster lab"}
	found["proxy-mode"] = offers.Offer{Why: "kind clusters keep the mode that they were created with; use --cluster lab"}
	plugin, err := cni.Find(k.cluster.Spec.CNI)
	if err != nil {
		return nil, err
	}
	says := func(name string, ok bool, does, doesNot string) {
		found[name] = offers.Offer{OK: ok, Why: "the CNI " + k.cluster.Spec.CNI + " " + does}
		if !ok {
			found[name] = offers.Offer{Why: "the CNI " + k.cluster.Spec.CNI + " " + doesNot}
		}
	}
	found["calico"] = offers.Offer{OK: k.cluster.Spec.CNI == "calico", Why: "the CNI is " + k.cluster.Spec.CNI}
	says("network-policy", plugin.Policies, "enforces NetworkPolicies", "enforces no NetworkPolicy")
	says("policies-ignored", !plugin.Policies, "enforces no NetworkPolicy", "enforces NetworkPolicies")
	says("policy-log", plugin.Flows != nil, "logs what policies drop", "has no log of what policies drop that relapse reads")
	says("policy-keeps-connections", plugin.Policies && !plugin.CutsConnections, "accepts established connections first", "cuts open connections, or enforces no policy")
	says("host-local", plugin.HostLocal, "uses host-local", "does not use host-local with a range in the nodes' configuration")
	says("cni-drops-invalid", plugin.DropsInvalid, "drops them", "does not drop them")
	says("pod-bridge", plugin.Bridge, "connects pods to a bridge", "connects each pod to its node by a link of its own")
	found["rp-filter-off"] = offers.Offer{Why: "kind's nodes have net.ipv4.conf.all.rp_filter=1"}
	found["pod-networks-in-order"] = offers.Offer{Why: "Kubernetes gives the nodes their pod networks in any order"}
	says("pod-routes", plugin.Routes, "makes routes to the nodes", "does not lead from node to node by routes alone")
	says("pod-overlay", plugin.Overlay, "uses VXLAN", "uses no VXLAN device")
	maps.Copy(found, offers.Path(plugin.EBPF))
	return found, nil
}

// Versions of what the cluster runs.
func (k *Kind) Versions(ctx context.Context) map[string]string {
	versions := map[string]string{"cni": k.cluster.Spec.CNI}
	if plugin, err := cni.Find(k.cluster.Spec.CNI); err == nil && plugin.Published != nil {
		versions["cni"] += " " + plugin.Published.Version
	}
	maps.Copy(versions, k.image.Programs())
	if server, err := k.cluster.Client.Discovery().ServerVersion(); err == nil {
		versions["kubernetes"] = server.GitVersion
		if k.cluster.Spec.Proxy != "none" {
			versions["kube-proxy"] = server.GitVersion
		}
	}
	maps.Copy(versions, k.objects.ImageVersions(ctx))
	return versions
}

// Differences says where such a cluster is not one in production.
func (k *Kind) Differences() []string {
	differences := []string{
		"Nodes are containers on this machine's one kernel: nf_conntrack_max, the conntrack hash table and neighbour limits are common to them.",
		"Containers with the image relapse, nginx, haproxy or envoy run relapse's own image, put together from this machine's files; their programs are children of a supervisor, which restart-container and the log readers speak to. A rollout would make new pods. All other images are the real ones.",
		"Pods get their node by a nodeSelector, in turn as in the lab, so that a scenario finds them on the expected nodes.",
		"CoreDNS asks a DNS server of relapse's own about names outside of the cluster, and no packet gets past the engine's bridge to this machine's networks.",
		"kube-proxy leaves net.netfilter.nf_conntrack_tcp_be_liberal at 0, as kubeadm does; kind by itself sets it, which cures the resets by INVALID segments.",
		"The kubelet starts a container that ended again after one second at most.",
		"If lanes run side by side, each has workers and a namespace of its own. Services that scenarios put at 10.96.0.X are then at 10.96.LANE.X, node ports 300XX are 30000 + 100 * LANE + XX, every kube-proxy has the rules for all lanes' Services, and CoreDNS runs on the control plane.",
		"A changed dnsConfig rewrites the pod's resolv.conf in place, where a cluster would make new pods.",
	}
	if k.cluster != nil {
		differences = append(differences, k.cluster.Notes...)
	}
	return differences
}
