package faults

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/site"
)

// DeletePods deletes pods, as kubectl delete pod --force does, upon which their controller makes new ones. There is nothing to undo.
type DeletePods struct {
	// Namespace of the pods.
	Namespace string `json:"namespace"`
	// Selector of their labels, such as k8s-app=kube-dns.
	Selector string `json:"selector"`
	// Again is true where withdrawing the change deletes the pods that are there then: what came of a cure must not outlive it.
	Again bool `json:"again,omitempty"`
}

// Validate refuses to delete everything.
func (c *DeletePods) Validate() error {
	if c.Namespace == "" || c.Selector == "" {
		return errors.New("namespace and selector must be given")
	}
	return nil
}

// ApplyTo deletes them.
func (c *DeletePods) ApplyTo(ctx context.Context, s *site.Site, _ string) (func(context.Context) error, error) {
	cluster, ok := s.Cluster.(clusters.Orchestrated)
	if !ok {
		return nil, errors.New("this cluster has no controllers that would make new pods")
	}
	undo := func(ctx context.Context) error {
		if !c.Again {
			return nil
		}
		return cluster.DeletePods(ctx, c.Namespace, c.Selector)
	}
	return undo, cluster.DeletePods(ctx, c.Namespace, c.Selector)
}

// ReadFrom: pending is how many of the pods that are there now do not run, running how many do.
func (c *DeletePods) ReadFrom(ctx context.Context, s *site.Site, _ string) (map[string]float64, error) {
	pending, running, err := s.Cluster.(clusters.Orchestrated).CountPods(ctx, c.Namespace, c.Selector)
	return map[string]float64{"pending": float64(pending), "running": float64(running)}, err
}
