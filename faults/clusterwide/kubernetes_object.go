package clusterwide

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

// KubernetesObject applies an object to the cluster, as kubectl apply does. Undoing it deletes the object, or restores the one that it
// replaced.
type KubernetesObject struct {
	// Object is a whole Kubernetes object: apiVersion, kind, metadata, and the fields of its kind.
	Object scenario.Raw `json:"object" ref:"object"`
	// Pending is true if the object's pods will not start. Without it the change waits for them. It needs a cluster with kubelets.
	Pending bool `json:"pending,omitempty"`
}

func (c *KubernetesObject) head() (scenario.ObjectHead, error) {
	var h scenario.ObjectHead
	if err := json.Unmarshal(c.Object, &h); err != nil {
		return h, fmt.Errorf("object: not a Kubernetes object: %w", err)
	}
	var missing []string
	for _, field := range []struct{ name, value string }{{"apiVersion", h.APIVersion}, {"kind", h.Kind}, {"metadata.name", h.Metadata.Name}} {
		if field.value == "" {
			missing = append(missing, "object."+field.name)
		}
	}
	if len(missing) > 0 {
		return h, errors.New("missing: " + strings.Join(missing, ", "))
	}
	return h, nil
}

// Validate refuses what is not an object.
func (c *KubernetesObject) Validate() error {
	_, err := c.head()
	return err
}

// ApplyTo applies the object.
func (c *KubernetesObject) ApplyTo(ctx context.Context, s *site.Scope) error {
	if !c.Pending {
		return s.Object(ctx, c.Object, s.Cluster.Apply)
	}
	cluster, err := orchestrated(s)
	if err != nil {
		return err
	}
	return s.Object(ctx, c.Object, cluster.ApplyPending)
}

// Keys are its numbers.
func (*KubernetesObject) Keys() units.Keys {
	return units.Keys{
		"matches": {Means: "1 while the cluster has the object with all the fields that were given", Kind: units.Share},
		"pending": {Means: "the object's pods that have not started, on a cluster with kubelets", Kind: units.Gauge},
		"running": {Means: "the object's pods that run, on a cluster with kubelets", Kind: units.Gauge},
	}
}

// ReadFrom compares the object.
func (c *KubernetesObject) ReadFrom(ctx context.Context, s *site.Scope) (map[string]float64, error) {
	h, err := c.head()
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"matches": 0, "pending": 0, "running": 0}
	if cluster, err := orchestrated(s); err == nil {
		pending, running, err := cluster.PodsOf(ctx, h.APIVersion, h.Kind, h.Metadata.Name)
		if err != nil {
			return nil, err
		}
		values["pending"], values["running"] = float64(pending), float64(running)
	}
	text, err := s.Cluster.Object(ctx, h.Kind, h.Metadata.Namespace, h.Metadata.Name)
	if err != nil || text == nil {
		return values, err
	}
	var given, now any
	if err := errors.Join(json.Unmarshal(c.Object, &given), json.Unmarshal(text, &now)); err != nil {
		return nil, err
	}
	if contains(now, given) {
		values["matches"] = 1
	}
	return values, nil
}

// contains says whether a cluster's object has all given fields. The cluster adds fields, and leaves out empty ones.
func contains(now, given any) bool {
	switch given := given.(type) {
	case map[string]any:
		now, _ := now.(map[string]any)
		for key, value := range given {
			if !contains(now[key], value) {
				return false
			}
		}
		return true
	case []any:
		now, _ := now.([]any)
		if len(now) != len(given) {
			return false
		}
		for i := range given {
			if !contains(now[i], given[i]) {
				return false
			}
		}
		return true
	}
	return now == given
}
