package clustertest

import (
	"context"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/offers"
)

// Provider makes clusters as the test says.
type Provider struct {
	// Make makes a cluster.
	Make func(ctx context.Context, spec clusters.Spec) (clusters.Cluster, error)
	// Offered is what Offers returns.
	Offered map[string]offers.Offer
}

// Name is that of the lab: run folders know no other provider of clusters on this machine.
func (p Provider) Name() string { return "lab" }

// Offers returns a copy of what the test says.
func (p Provider) Offers(context.Context) (map[string]offers.Offer, error) {
	found := map[string]offers.Offer{}
	for name, offer := range p.Offered {
		found[name] = offer
	}
	return found, nil
}

// Differences are none.
func (p Provider) Differences() []string { return nil }

// Versions are none.
func (p Provider) Versions(context.Context) map[string]string { return map[string]string{} }

// Check finds nothing.
func (p Provider) Check([][]byte) []error { return nil }

// AtOnce is no limit.
func (p Provider) AtOnce() int { return 0 }

// Whole is false: clusters share nothing.
func (p Provider) Whole([][]byte) bool { return false }

// Open makes nothing.
func (p Provider) Open(context.Context) error { return nil }

// Close takes nothing away.
func (p Provider) Close(context.Context) error { return nil }

// Create makes a cluster.
func (p Provider) Create(ctx context.Context, spec clusters.Spec) (clusters.Cluster, error) {
	return p.Make(ctx, spec)
}
