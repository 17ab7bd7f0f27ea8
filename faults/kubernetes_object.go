package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/site"
)

// KubernetesObject applies an object to the cluster, as kubectl apply does. Undone, the object is deleted, or the one that it
// replaced is put back.
type KubernetesObject struct {
	// Object is a whole Kubernetes object: apiVersion, kind, metadata, and what belongs to its kind.
	Object scenario.Raw `json:"object" ref:"object"`
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
func (c *KubernetesObject) ApplyTo(ctx context.Context, s *site.Site, _ string) (func(context.Context) error, error) {
	h, err := c.head()
	if err != nil {
		return nil, err
	}
	former, err := s.Cluster.Object(ctx, h.Kind, h.Metadata.Namespace, h.Metadata.Name)
	if err != nil {
		return nil, err // without it nothing could be put back
	}
	undo := func(ctx context.Context) error {
		if former != nil {
			return s.Cluster.Apply(ctx, former)
		}
		return s.Cluster.Delete(ctx, h.Kind, h.Metadata.Namespace, h.Metadata.Name)
	}
	return undo, s.Cluster.Apply(ctx, c.Object)
}
