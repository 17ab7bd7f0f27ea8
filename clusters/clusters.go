// Package clusters says what a place to run scenarios on must be able to do. The lab and kind are such places.
package clusters

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/history"
)

// Offer is whether a cluster on this machine gives something that a scenario may need.
type Offer struct {
	OK bool `json:"ok"`
	// Why says how that was found out; where OK is false it says what is missing and how to change that.
	Why string `json:"why,omitempty"`
}

// Known names everything that can be needed or offered, with its meaning.
var Known = map[string]string{
	"nfqueue":                 "packets can be held in user space (NFQUEUE, by nft's queue statement or the xt target)",
	"conntrack":               "connection tracking can be read and written through ctnetlink in a node's namespace",
	"conntrack-clash-resolve": "the kernel repairs a clash of two unconfirmed UDP entries and counts that in clash_resolve (5.10 and later)",
	"conntrack-late-segments": "TCP segments from before the window are translated, and not INVALID (6.1 and later)",
	"conntrack-timeouts":      "conntrack time-outs can be set in a node's namespace",
	"bridge-netfilter":        "bridged packets pass iptables and nftables (br_netfilter)",
	"vxlan":                   "VXLAN devices can be made",
	"kernel-log":              "the kernel log can be read",
	"nflog":                   "packets can be logged to a program (NFLOG)",
	"kernel-log-rule":         "rules can log packets to the kernel log (nf_log_syslog)",
	"kernel-log-rule-silent":  "what a rule logs in a node's namespace does not get into the kernel log (net.netfilter.nf_log_all_netns=0)",
	"proxy-iptables":          "kube-proxy runs in iptables mode",
	"proxy-nftables":          "kube-proxy runs in nftables mode",
	"network-policy":          "network policies are enforced",
	"kubernetes":              "there is an API server, a scheduler and a kubelet on each node",
	"nginx":                   "pods can run nginx",
	"haproxy":                 "pods can run HAProxy",
	"envoy":                   "pods can run Envoy",
	"node":                    "pods can run Node.js",
	"host-conntrack-max":      "nf_conntrack_max of the whole machine can be set (needs root outside any user namespace)",
}

// ProxyOffers are what follows from kube-proxy's mode.
func ProxyOffers(mode string) map[string]Offer {
	offers := map[string]Offer{}
	for _, known := range []string{"iptables", "nftables"} {
		offers["proxy-"+known] = Offer{OK: mode == known, Why: "kube-proxy runs in " + mode + " mode"}
	}
	return offers
}

// ErrMissing is in errors of Open that say what this machine lacks.
var ErrMissing = errors.New("missing on this machine")

// Provider makes clusters of one kind.
type Provider interface {
	// Name is lab or kind.
	Name() string
	// Offers probes what a cluster on this machine would offer, without leaving anything behind.
	Offers(ctx context.Context) (map[string]Offer, error)
	// Differences says where such a cluster differs from one in production, a sentence each.
	Differences() []string
	// Versions of the components that a cluster would run.
	Versions(ctx context.Context) map[string]string
	// Check says what is wrong with a workload for this provider, all at once, each with the object and the field's path.
	Check(workload [][]byte) []error
	// AtOnce is how many clusters there may be at one time, or 0 for as many as the machine bears.
	AtOnce() int
	// Open makes what all clusters of a run or suite share, and Close takes that away again. Nothing else is called before Open but
	// Name and Check, and nothing after Close, which may be called without Open. On an error of Open nothing is left behind.
	Open(ctx context.Context) error
	Close(ctx context.Context) error
	// Create makes a cluster and returns when it serves. On an error nothing is left behind.
	Create(ctx context.Context, spec Spec) (Cluster, error)
}

// Spec is a cluster to make.
type Spec struct {
	// Run is the run's id, which everything that is made carries.
	Run string
	// Env is the environment of every process of the run, beside the harness's own: KEY=VALUE.
	Env []string
	// Name tells the clusters of a run apart: the lane.
	Name string
	// Nodes is how many there are.
	Nodes int
	// PodNetwork is routes or vxlan.
	PodNetwork string
	// Proxy is kube-proxy's mode: nftables or iptables.
	Proxy string
	// Workload is a list of Kubernetes objects as JSON.
	Workload [][]byte
	// Logs is the folder for the logs of the cluster's programs.
	Logs string
	// Progress, where not nil, hears what is being waited for.
	Progress func(string)
	// Note, where not nil, hears what the report should say of the making of the cluster.
	Note func(string)
}

// Cluster is a running cluster.
type Cluster interface {
	// Places lists everything that has an agent: node/NAME, pod/NAME, outside.
	Places() []string
	// Resolve turns a selector into places: nodes, node-of/POD, pod/NAME (a Pod, or the Pods of a Deployment), outside.
	Resolve(on string) ([]string, error)
	// Agent of a place, or nil.
	Agent(place string) *agent.Conn
	// Enter is a command with which a person runs what follows it in a place.
	Enter(place string) []string
	// AddService adds a Service and returns its address when every node serves it. RemoveService takes it away.
	AddService(ctx context.Context, service Service) (clusterIP string, err error)
	RemoveService(ctx context.Context, namespace, name string) error
	// Apply creates or replaces a Kubernetes object, given as JSON, and returns when the cluster acts on it. Delete takes one away.
	// What is not there is deleted already. Object returns one as it was given, or nil where there is none: by its name alone where
	// there are no namespaces.
	Apply(ctx context.Context, object []byte) error
	Object(ctx context.Context, kind, namespace, name string) ([]byte, error)
	Delete(ctx context.Context, kind, namespace, name string) error
	// Follow hears the known lines of what the cluster's programs and network policies say, until ctx ends.
	Follow(ctx context.Context, hear func(history.Log)) error
	// CoreDNS starts CoreDNS with a Corefile in the namespace of a place. StopCoreDNS ends it.
	CoreDNS(ctx context.Context, place, name, corefile string) error
	StopCoreDNS(ctx context.Context, place, name string) error
	// Settle lets programs finish what they put off, such as removing rules that nothing leads to any more.
	Settle(ctx context.Context) error
	// Interrupt ends the agents, so that nobody waits for what they are at any more. Close still has to be called.
	Interrupt()
	// Close takes the cluster away and returns when nothing of it is left.
	Close(ctx context.Context) error
}

// Witness is a cluster that can show what people would look at there, beside the commands that a scenario names.
type Witness interface {
	// Witness returns texts by title: what kubectl would print, metrics, and a look from inside a pod that has the failure. Pods are
	// the places of those that notice it.
	Witness(ctx context.Context, pods []string) ([]Exhibit, error)
}

// Orchestrated is a cluster with kubelets and controllers.
type Orchestrated interface {
	// AwaitNodes waits until every node's kubelet says that it is ready, and the cluster's own pods are too; or that it is not.
	AwaitNodes(ctx context.Context, ready bool) error
	// NotReady is how many nodes are not.
	NotReady(ctx context.Context) (int, error)
	// CountPods says how many of the pods that a label selector selects are pending, and how many run.
	CountPods(ctx context.Context, namespace, selector string) (pending, running int, err error)
	// DeletePods deletes the pods of a namespace that a label selector selects, and returns when they have gone.
	DeletePods(ctx context.Context, namespace, selector string) error
}

// Renewed is a cluster whose own pods may be replaced in the course of a scenario, as DNS's are when they are deleted.
type Renewed interface {
	// Renewed says which were, for the report, or nothing, and which differences of nodes follow from that: the new pods have other
	// addresses and links.
	Renewed(ctx context.Context) (what string, follows func(difference string) bool, err error)
}

// Exhibit is something that a Witness shows.
type Exhibit struct {
	// Title is the command as people would type it; On is the place, or cluster.
	Title, On string
	Text      string
}

// Service is a Service of type ClusterIP that a change adds.
type Service struct {
	Namespace, Name string
	Selector        map[string]string
	Ports           []Port
}

// Port of a Service; its target port is the same.
type Port struct {
	Name     string
	Protocol string // TCP or UDP
	Port     int32
}
