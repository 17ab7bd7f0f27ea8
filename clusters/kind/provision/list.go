package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Summary is what is known of a cluster without opening it.
type Summary struct {
	Name string `json:"name"`
	// Nodes are the nodes by the engine's names, each with the state of its container, such as running.
	Nodes []State `json:"nodes"`
	Image string  `json:"nodeImage"`
	Proxy string  `json:"proxy"`
	CNI   string  `json:"cni"`
	// Fence is one of the words below. A cluster with AllowEgress has no fence.
	Fence string `json:"fence"`
	// Run is the id of the run that the cluster belongs to, or empty if it stays until it is deleted.
	Run string `json:"run,omitempty"`

	instance string
	owner    map[string]string
}

// InUse says whether the cluster belongs to a run that has not ended.
func (s Summary) InUse() bool { return s.Run != "" && runstate.Lives(s.owner) }

// The states of a cluster's fence.
const (
	FenceClosed = "closed"
	FenceNone   = "none"
	// FenceUnknown is for users who may list clusters but not the machine's rules.
	FenceUnknown = "unknown"
)

// State is the state of a node.
type State struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// List lists relapse's clusters in the engine.
func List(ctx context.Context) ([]Summary, error) {
	docker, err := findEngine(ctx)
	if err != nil {
		return nil, err
	}
	return list(ctx, docker)
}

// Find returns the cluster with this name or short name.
func Find(ctx context.Context, name string) (found Summary, there bool, err error) {
	name = FullName(name)
	all, err := List(ctx)
	if err != nil {
		return found, false, err
	}
	if i := slices.IndexFunc(all, func(s Summary) bool { return s.Name == name }); i >= 0 {
		return all[i], true, nil
	}
	return found, false, nil
}

func list(ctx context.Context, docker containers.Engine) ([]Summary, error) {
	found, err := networks(ctx, docker, "")
	if err != nil {
		return nil, err
	}
	nodes, err := docker.Run(ctx, "ps", "--all", "--filter", "label="+containers.LabelKindCluster, "--format",
		fmt.Sprintf(`{{.Label %q}} {{.Names}} {{.State}}`, containers.LabelKindCluster))
	if err != nil {
		return nil, err
	}
	fenced, unseen := fences()
	var all []Summary
	for _, n := range found {
		s := Summary{
			Name: n.Name, Image: n.Labels[labelImage], Proxy: n.Labels[labelProxy], CNI: n.Labels[labelCNI],
			Fence: n.fence(fenced, unseen), Nodes: []State{}, instance: n.instance(), owner: ownerOf(n.Labels),
		}
		s.Run = s.owner[ownerRun]
		for line := range strings.Lines(nodes) {
			if words := strings.Fields(line); len(words) == 3 && words[0] == n.Name {
				s.Nodes = append(s.Nodes, State{words[1], words[2]})
			}
		}
		slices.SortFunc(s.Nodes, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Summary) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// fence is the state of a cluster's fence, from the instances that have a fence, or the error of listing them.
func (n network) fence(fenced []string, unseen error) string {
	switch {
	case slices.Contains(fenced, n.instance()):
		return FenceClosed
	case unseen != nil && n.Labels[labelEgress] != "open":
		return FenceUnknown
	}
	return FenceNone
}

// Open returns an existing cluster, by its name or short name.
func Open(ctx context.Context, name string) (*Cluster, error) {
	name = FullName(name)
	docker, err := findEngine(ctx)
	if err != nil {
		return nil, err
	}
	found, err := networks(ctx, docker, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("cluster %s does not exist; relapse cluster list shows all clusters", name)
	}
	n := found[0]
	c := &Cluster{
		Spec: Spec{
			Name: name, Proxy: n.Labels[labelProxy], CNI: n.Labels[labelCNI], Image: n.Labels[labelImage],
			AllowEgress: n.Labels[labelEgress] == "open", Stay: ownerOf(n.Labels)[ownerRun] == "",
		},
		Network: n.Name, Bridge: bridgeOf(n.instance()), engine: docker, instance: n.instance(), made: deletion(docker, name, n.instance()),
	}
	if c.Subnet, err = n.subnet(); err == nil {
		err = c.find(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	c.Spec.Nodes = len(c.Nodes)
	return c, nil
}

// deletion is the ledger of a cluster that another process made.
func deletion(docker containers.Engine, name, instance string) *ledger {
	nodes := undo.Record{Step: &containers.Containers{Engine: docker, Cluster: name, Instance: instance}}
	return &ledger{records: []undo.Record{
		{Step: &containers.Network{Engine: docker, Name: name, Instance: instance}}, fenceRecord(instance), nodes,
	}}
}

// Delete deletes a cluster with its network and fence. It succeeds if the cluster does not exist.
func Delete(ctx context.Context, name string) error {
	name = FullName(name)
	if err := (Spec{Name: name}).Check(); err != nil {
		return err
	}
	docker, err := findEngine(ctx)
	if err != nil {
		return err
	}
	found, err := networks(ctx, docker, name)
	if err != nil {
		return err
	}
	owners, err := containerOwners(ctx, docker)
	if err != nil {
		return err
	}
	var instances []string
	for _, n := range found {
		instances = append(instances, n.instance())
	}
	for _, o := range owners { // including those whose network is gone
		if o.cluster == name {
			instances = append(instances, o.instance)
		}
	}
	var errs []error
	slices.Sort(instances)
	for _, instance := range slices.Compact(instances) {
		errs = append(errs, deletion(docker, name, instance).undo(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	return nil
}

// Delete deletes the cluster, and returns when nothing of it is left.
func (c *Cluster) Delete(ctx context.Context) error {
	if err := c.made.undo(ctx); err != nil {
		return fmt.Errorf("cluster %s: %w", c.Spec.Name, err)
	}
	return nil
}
