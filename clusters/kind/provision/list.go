package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// Summary is what is known of a cluster from outside.
type Summary struct {
	Name string `json:"name"`
	// Nodes by the engine's names, each with the state of its container, such as running.
	Nodes []State `json:"nodes"`
	Image string  `json:"nodeImage"`
	Proxy string  `json:"proxy"`
	CNI   string  `json:"cni"`
	// Fence is one of the words below; a cluster that may send to the outside has none.
	Fence string `json:"fence"`
	// Run is the id of the run that it goes with; empty where it stays until it is deleted.
	Run string `json:"run,omitempty"`

	instance string
	owner    map[string]string
}

// InUse is whether the cluster goes with a run, and that has not ended.
func (s Summary) InUse() bool { return s.Run != "" && runstate.Lives(s.owner) }

// What a cluster's fence is.
const (
	FenceClosed = "closed"
	FenceNone   = "none"
	// FenceUnknown is what those see who may list clusters, and not the machine's rules.
	FenceUnknown = "unknown"
)

// State is a node's.
type State struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// List lists relapse's clusters in the engine.
func List(ctx context.Context) ([]Summary, error) {
	engine, err := findEngine(ctx)
	if err != nil {
		return nil, err
	}
	return list(ctx, engine)
}

// Find is the one of a name, whole or short, among them.
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

func list(ctx context.Context, engine undo.Engine) ([]Summary, error) {
	found, err := networks(ctx, engine, "")
	if err != nil {
		return nil, err
	}
	nodes, err := engine.Run(ctx, "ps", "--all", "--filter", "label="+undo.LabelKindCluster, "--format",
		fmt.Sprintf(`{{.Label %q}} {{.Names}} {{.State}}`, undo.LabelKindCluster))
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

// fence is what is known of a cluster's, from the instances that have one or the error of looking.
func (n network) fence(fenced []string, unseen error) string {
	switch {
	case slices.Contains(fenced, n.instance()):
		return FenceClosed
	case unseen != nil && n.Labels[labelEgress] != "open":
		return FenceUnknown
	}
	return FenceNone
}

// Open returns a cluster that is there, by its name or its short name.
func Open(ctx context.Context, name string) (*Cluster, error) {
	name = FullName(name)
	engine, err := findEngine(ctx)
	if err != nil {
		return nil, err
	}
	found, err := networks(ctx, engine, name)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no cluster %s; relapse cluster list lists them", name)
	}
	n := found[0]
	c := &Cluster{
		Spec: Spec{
			Name: name, Proxy: n.Labels[labelProxy], CNI: n.Labels[labelCNI], Image: n.Labels[labelImage],
			AllowEgress: n.Labels[labelEgress] == "open", Stay: ownerOf(n.Labels)[ownerRun] == "",
		},
		Network: n.Name, Bridge: bridgeOf(n.instance()), engine: engine, instance: n.instance(), made: deletion(engine, name, n.instance()),
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

// deletion is the ledger of a cluster that somebody else has made.
func deletion(engine undo.Engine, name, instance string) *ledger {
	containers := undo.Record{Containers: &undo.Containers{Engine: engine, Cluster: name, Instance: instance}}
	return &ledger{records: []undo.Record{
		{EngineNetwork: &undo.EngineNetwork{Engine: engine, Name: name, Instance: instance}}, fenceRecord(instance), containers,
	}}
}

// Delete takes a cluster away, with its network and its fence. What is not there is deleted already.
func Delete(ctx context.Context, name string) error {
	name = FullName(name)
	if err := (Spec{Name: name}).Check(); err != nil {
		return err
	}
	engine, err := findEngine(ctx)
	if err != nil {
		return err
	}
	found, err := networks(ctx, engine, name)
	if err != nil {
		return err
	}
	owners, err := containerOwners(ctx, engine)
	if err != nil {
		return err
	}
	var instances []string
	for _, n := range found {
		instances = append(instances, n.instance())
	}
	for _, o := range owners { // also those that have no network any more
		if o.cluster == name {
			instances = append(instances, o.instance)
		}
	}
	var errs []error
	slices.Sort(instances)
	for _, instance := range slices.Compact(instances) {
		errs = append(errs, deletion(engine, name, instance).undo(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cluster %s: %w", name, err)
	}
	return nil
}

// Delete takes the cluster away, and returns when nothing of it is left.
func (c *Cluster) Delete(ctx context.Context) error {
	if err := c.made.undo(ctx); err != nil {
		return fmt.Errorf("cluster %s: %w", c.Spec.Name, err)
	}
	return nil
}
