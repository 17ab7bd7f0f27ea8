package clusterwide

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/faults"
	"github.com/relapse-k8s/relapse/harness/site"
)

// NoCNI hides the configuration of the CNI plugins on every node, as on a cluster without a CNI plugin, and waits until the nodes are
// NotReady. Running pods keep running; new pods get no network.
type NoCNI struct{}

// WholeCluster is true: it changes all nodes.
func (NoCNI) WholeCluster() bool { return true }

// ApplyTo changes all nodes and waits for their kubelets.
func (*NoCNI) ApplyTo(ctx context.Context, s *site.Scope) error {
	return onKubelets(ctx, s, "cni-config-away", &faults.CNIConfigAway{}, false)
}

// Keys are its numbers: those of all nodes together, and notReady.
func (*NoCNI) Keys() units.Keys { return kubeletKeys((*faults.CNIConfigAway)(nil).Keys()) }

// ReadFrom looks at all nodes.
func (*NoCNI) ReadFrom(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	return readKubelets(ctx, s)
}

// InstallCNI writes the configuration that no-cni has hidden, as installing a CNI plugin does, and waits until the nodes are Ready.
// Undoing it removes the configuration again.
type InstallCNI struct{}

// WholeCluster is true: it changes all nodes.
func (InstallCNI) WholeCluster() bool { return true }

// ApplyTo changes all nodes and waits for their kubelets.
func (*InstallCNI) ApplyTo(ctx context.Context, s *site.Scope) error {
	return onKubelets(ctx, s, "cni-config-back", &faults.CNIConfigBack{}, true)
}

// Keys are its numbers: those of all nodes together, and notReady.
func (*InstallCNI) Keys() units.Keys { return kubeletKeys((*faults.CNIConfigBack)(nil).Keys()) }

// ReadFrom looks at all nodes.
func (*InstallCNI) ReadFrom(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	return readKubelets(ctx, s)
}

// orchestrated is the cluster, if it has kubelets and controllers.
func orchestrated(s *site.Scope) (clusters.Orchestrated, error) {
	cluster, ok := s.Cluster.(clusters.Orchestrated)
	if !ok {
		return nil, errors.New("this cluster has no kubelets and no controllers; use --cluster kind")
	}
	return cluster, nil
}

// onKubelets makes a change at all nodes and waits until their kubelets report Ready, or NotReady. Undoing it waits for the opposite.
func onKubelets(ctx context.Context, s *site.Scope, name string, config any, ready bool) error {
	cluster, err := orchestrated(s)
	if err != nil {
		return err
	}
	nodes, err := s.Cluster.Resolve("nodes")
	if err != nil {
		return err
	}
	if err := s.PushFunc("wait for the kubelets", func(ctx context.Context) error { return cluster.AwaitNodes(ctx, !ready) }); err != nil {
		return err
	}
	if err := s.At(ctx, nodes, name, config); err != nil {
		return err
	}
	return cluster.AwaitNodes(ctx, ready)
}

func kubeletKeys(ofNodes units.Keys) units.Keys {
	ofNodes["notReady"] = units.Key{Means: "nodes that are not ready", Kind: units.Gauge}
	return ofNodes
}

// readKubelets adds up the readings of the nodes, and counts the nodes that are not ready.
func readKubelets(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	values, err := readNodes(ctx, s)
	if err != nil {
		return nil, err
	}
	cluster, err := orchestrated(s)
	if err != nil {
		return nil, err
	}
	notReady, err := cluster.NotReady(ctx)
	values["notReady"] = float64(notReady)
	return values, err
}

// readNodes adds up the readings of the part of a change that was made at each node. Whether it is applied is said of the whole change.
func readNodes(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	nodes, err := s.Cluster.Resolve("nodes")
	if err != nil {
		return nil, err
	}
	byNode, err := s.Read(ctx, nodes)
	if err != nil {
		return nil, err
	}
	sum := map[string]float64{}
	for _, values := range byNode {
		for key, value := range values {
			sum[key] += value
		}
	}
	delete(sum, units.Applied)
	return sum, nil
}
