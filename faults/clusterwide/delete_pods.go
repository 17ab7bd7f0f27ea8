package clusterwide

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/site"
)

// DeletePods deletes pods, as kubectl delete pod --force does. Their controller then creates new ones. There is nothing to undo.
type DeletePods struct {
	// Namespace of the pods.
	Namespace string `json:"namespace"`
	// Selector of their labels, such as k8s-app=kube-dns.
	Selector string `json:"selector"`
	// Again deletes the pods once more when the change is undone, so that the effect of a remedy does not outlive it.
	Again bool `json:"again,omitempty"`
	// Ready is true if the change waits until the new pods are ready and Services lead to them; so does again.
	Ready bool `json:"ready,omitempty"`
}

// Validate refuses to delete everything.
func (c *DeletePods) Validate() error {
	return checkSelector(c.Namespace, c.Selector)
}

// WholeCluster is true of pods that are not in the default namespace.
func (c DeletePods) WholeCluster() bool {
	return c.Namespace != "" && c.Namespace != metav1.NamespaceDefault
}

// ApplyTo deletes them.
func (c *DeletePods) ApplyTo(ctx context.Context, s *site.Scope) error {
	cluster, err := orchestrated(s)
	if err != nil {
		return err
	}
	if c.Again {
		again := func(ctx context.Context) error { return cluster.DeletePods(ctx, c.Namespace, c.Selector, c.Ready) }
		if err := s.PushFunc("delete the pods again", again); err != nil {
			return err
		}
	}
	return cluster.DeletePods(ctx, c.Namespace, c.Selector, c.Ready)
}

// Keys are its numbers.
func (*DeletePods) Keys() units.Keys {
	return units.Keys{
		"pending": {Means: "current pods that are not running", Kind: units.Gauge}, "running": {Means: "current pods that are", Kind: units.Gauge},
	}
}

// ReadFrom counts the pods.
func (c *DeletePods) ReadFrom(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	cluster, err := orchestrated(s)
	if err != nil {
		return nil, err
	}
	pending, running, err := cluster.CountPods(ctx, c.Namespace, c.Selector)
	return map[string]float64{"pending": float64(pending), "running": float64(running)}, err
}
