package clusterwide

import (
	"context"
	"errors"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/site"
)

// ManyServices makes many Services at once, many-1, many-2 and so on, from 10.100.0.1 on, in place of those that another many-services has
// made. Only kube-proxy knows them: their names do not resolve. Use it for what comes with their number, and kubernetes-object for a single
// Service. It needs many-services.
type ManyServices struct {
	// Count is how many there are.
	Count int `json:"count" jsonschema:"minimum=1,maximum=30000"`
	// Selector selects their pods, which get TCP connections to port 80 of each Service. Without it they have no endpoints.
	Selector map[string]string `json:"selector,omitempty"`
	// Headless is true if they have no cluster IP, so that kube-proxy has no rules for them.
	Headless bool `json:"headless,omitempty"`
}

// WholeCluster is true: every kube-proxy has rules for all Services.
func (ManyServices) WholeCluster() bool { return true }

func populous(s *site.Scope) (clusters.Populous, error) {
	cluster, ok := s.Cluster.(clusters.Populous)
	if !ok {
		return nil, errors.New("this cluster cannot make thousands of Services at once; use --cluster lab")
	}
	return cluster, nil
}

// ApplyTo makes the Services.
func (c *ManyServices) ApplyTo(ctx context.Context, s *site.Scope) error {
	cluster, err := populous(s)
	if err != nil {
		return err
	}
	former := cluster.Crowd()
	if err := s.PushFunc(fmt.Sprintf("remove %d Services", c.Count), func(ctx context.Context) error { return cluster.SetCrowd(ctx, former) }); err != nil {
		return err
	}
	return cluster.SetCrowd(ctx, clusters.Crowd{Count: c.Count, Selector: c.Selector, Headless: c.Headless})
}

// Keys are its numbers.
func (*ManyServices) Keys() units.Keys {
	return units.Keys{"services": {Means: "Services that were made, and that every kube-proxy says it knows", Kind: units.Gauge}}
}

// ReadFrom asks the cluster.
func (*ManyServices) ReadFrom(_ context.Context, s *site.Scope) (map[string]float64, error) {
	cluster, err := populous(s)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"services": float64(cluster.Crowd().Count)}, nil
}
