// Package clusters says what a cluster must be able to do so that scenarios can run on it. The lab and kind are two kinds of clusters.
package clusters

import (
	"context"
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/logs"
	"github.com/relapse-k8s/relapse/clusters/offers"
)

// ErrMissing is in errors of Open that say what this machine does not have.
var ErrMissing = errors.New("missing on this machine")

// Provider makes clusters of one kind.
type Provider interface {
	// Name is lab or kind.
	Name() string
	// Offers probes what a cluster on this machine would offer, and leaves nothing behind.
	Offers(ctx context.Context) (map[string]offers.Offer, error)
	// Differences says how such a cluster differs from one in production, one sentence each.
	Differences() []string
	// Versions of the components that a cluster would run.
	Versions(ctx context.Context) map[string]string
	// Check says what is wrong with a workload for this provider, all at once, each with the object and the field's path.
	Check(workload [][]byte) []error
	// AtOnce is how many clusters may exist at one time, or 0 for as many as the machine can run.
	AtOnce() int
	// Open makes what all clusters of a run or suite share, and Close removes it. Only Name and Check are called before Open, and
	// nothing after Close, which may be called without Open. If Open fails, it leaves nothing behind.
	Open(ctx context.Context) error
	Close(ctx context.Context) error
	// Whole is true if objects belong to the whole of a cluster that Clusters share, and not to one of them.
	Whole(objects [][]byte) bool
	// Create makes a cluster and returns when it serves. If it fails, it leaves nothing behind.
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
	// Whole is true if it is to have a cluster that Clusters share for itself: it changes what belongs to all of them.
	Whole bool
	// Workload is a list of Kubernetes objects as JSON.
	Workload [][]byte
	// Logs is the folder for the logs of the cluster's programs.
	Logs string
	// Progress, if not nil, is called with what is being waited for.
	Progress func(string)
	// Note, if not nil, is called with what the report should say about the making of the cluster.
	Note func(string)
}

// Step is a part of the making of a cluster.
type Step struct {
	What string
	Do   func(context.Context) error
}

// Make takes one step after the other, and reports each before it begins.
func (s Spec) Make(ctx context.Context, steps ...Step) error {
	for _, step := range steps {
		if s.Progress != nil {
			s.Progress("making " + step.What)
		}
		if err := step.Do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.What, err)
		}
	}
	return nil
}

// Places are what a cluster has agents at.
type Places interface {
	// Places lists them all: node/NAME, pod/NAME, outside.
	Places() []string
	// Resolve turns a selector into places: nodes, node-of/POD, pod/NAME (a Pod, or the Pods of a Deployment), outside.
	Resolve(on string) ([]string, error)
	// Address of a node or pod, for others to reach it.
	Address(place string) (string, error)
	// Agent of a place, or nil.
	Agent(place string) *agent.Conn
	// Enter is a command with which a person runs what follows it in a place.
	Enter(place string) []string
}

// Cluster is a running cluster.
type Cluster interface {
	Places
	// Apply creates or replaces a Kubernetes object, given as JSON, and returns when the cluster acts on it.
	Apply(ctx context.Context, object []byte) error
	// Delete deletes an object. One that is not there is deleted already.
	Delete(ctx context.Context, kind, namespace, name string) error
	// Object returns an object as the cluster has it now, or nil if there is none.
	Object(ctx context.Context, kind, namespace, name string) ([]byte, error)
	// Keep writes down what an object is, and returns how to make it so again. It is called before Apply and Delete. On a cluster
	// that outlives this process, what is written down does too.
	Keep(ctx context.Context, kind, namespace, name string) (restore func(context.Context) error, err error)
	// Follow reports the known lines of the logs of programs and network policies, until ctx ends.
	Follow(ctx context.Context, report func(logs.Line)) error
	// Settle lets programs finish what they put off, such as removing rules that are not used any more.
	Settle(ctx context.Context) error
	// Interrupt ends the agents, so that nobody waits for them any more. Close still has to be called.
	Interrupt()
	// Close deletes the cluster and returns when nothing of it is left.
	Close(ctx context.Context) error
}

// Part is a part of a cluster that others have parts of too. Names and addresses that can be given only once are its own there.
type Part interface {
	// Adapt returns a scenario's file, or a part of it, with the addresses of Services and the names of the default namespace as they are
	// in this part.
	Adapt(text []byte) []byte
	// Unique returns a name that no other part gives to an object that must be in a namespace of the cluster's own.
	Unique(name string) string
}

// Witness is a cluster that can show what people would look at, besides the output of the commands that a scenario names.
type Witness interface {
	// Witness returns what kubectl would print, metrics, and a look from inside a pod that has the failure. Pods are the places of
	// the pods whose probes see it.
	Witness(ctx context.Context, pods []string) ([]Exhibit, error)
}

// Orchestrated is a cluster with kubelets and controllers.
type Orchestrated interface {
	// AwaitNodes waits until every node's kubelet says that it is ready, and the cluster's own pods are too; or that it is not.
	AwaitNodes(ctx context.Context, ready bool) error
	// NotReady is how many nodes are not.
	NotReady(ctx context.Context) (int, error)
	// CountPods counts the pods that a label selector selects: how many are pending, and how many run.
	CountPods(ctx context.Context, namespace, selector string) (pending, running int, err error)
	// DeletePods deletes the pods of a namespace that a label selector selects, and returns when they are gone, or when others are ready and
	// Services lead to them.
	DeletePods(ctx context.Context, namespace, selector string, ready bool) error
	// ApplyPending applies an object of the workload whose pods are not expected to start: nobody waits for them until it is applied again.
	ApplyPending(ctx context.Context, object []byte) error
	// PodsOf counts the pods of an object: how many are pending, and how many run. An object of a kind without pods has none.
	PodsOf(ctx context.Context, apiVersion, kind, name string) (pending, running int, err error)
}

// NameServed is a cluster whose names CoreDNS answers, with the Corefile of the ConfigMap coredns in kube-system.
type NameServed interface {
	// RestartCoreDNS starts CoreDNS anew, so that it reads its ConfigMap, and returns when each of its pods serves or has failed.
	RestartCoreDNS(ctx context.Context) error
	// CoreDNS counts its pods: those that serve, and all.
	CoreDNS(ctx context.Context) (serving, pods int, err error)
}

// Populous is a cluster that can make thousands of Services at once.
type Populous interface {
	// Crowd is what SetCrowd was last told.
	Crowd() Crowd
	// SetCrowd makes many Services, in place of those of the former crowd, and returns when the cluster acts on them.
	SetCrowd(ctx context.Context, crowd Crowd) error
}

// Crowd is many Services that are alike.
type Crowd struct {
	Count int
	// Selector selects their pods. Without it they have no endpoints.
	Selector map[string]string
	// Headless ones have no cluster IP.
	Headless bool
}

// Proxied is a cluster whose kube-proxy can be started again in another mode.
type Proxied interface {
	// ProxyMode is nftables or iptables.
	ProxyMode() string
	// SetProxyMode starts it again on all nodes, and returns when it has programmed all Services and removed the rules of the other mode.
	SetProxyMode(ctx context.Context, mode string) error
}

// Renewed is a cluster whose own pods, and those of workloads, may be replaced during a scenario, as CoreDNS's are when they are deleted.
type Renewed interface {
	// Renewed says for the report which pods were replaced, or nothing, and which differences of nodes follow from that, or nil: the new pods
	// have other addresses and links. What other lanes of the cluster did can be among them.
	Renewed(ctx context.Context) (what string, follows func(difference string) bool, err error)
}

// Exhibit is something that a Witness shows.
type Exhibit struct {
	// Title is the command as people would type it; On is the place, or cluster.
	Title, On string
	Text      string
}
