package kind

import (
	"context"
	"fmt"

	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/podtemplate"
)

// Apply creates or replaces an object, as kubectl apply does. It returns when the object's pods run and have agents, and when kube-proxies
// have the rules for a Service. It does not wait for those who enforce a NetworkPolicy. An object that no workload created must be kept
// first; it gets no run label, so it is not deleted with the workload.
func (c *cluster) Apply(ctx context.Context, text []byte) error {
	return c.apply(ctx, text, false)
}

// ApplyPending does the same, and does not wait for the object's pods.
func (c *cluster) ApplyPending(ctx context.Context, text []byte) error {
	return c.apply(ctx, text, true)
}

func (c *cluster) apply(ctx context.Context, text []byte, pending bool) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	object, foreign, err := c.foreign(ctx, text)
	switch {
	case err != nil:
		return err
	case !foreign:
		c.mu.Lock()
		c.pending[c.key(object.Kind, object.Namespace, object.Name)] = pending
		c.mu.Unlock()
		if err := c.putOwn(ctx, text); err != nil {
			return err
		}
		if err := c.dialPods(ctx); err != nil {
			return err
		}
		return c.served(ctx, text, pending)
	}
	if err := c.mustBeKept(object); err != nil {
		return err
	}
	_, err = c.objects.Apply(ctx, text)
	return err
}

// served waits until kube-proxies have the rules for a Service, or for the pods of an object.
func (c *cluster) served(ctx context.Context, text []byte, pending bool) error {
	object, _, err := c.objects.Parse(text)
	if err != nil {
		return err
	}
	_, pods := podtemplate.Path(object.GetAPIVersion(), object.GetKind())
	switch {
	case object.GetKind() == "Service":
		if err := c.selected(ctx, object); err != nil {
			return err
		}
	case !pods || pending:
		return nil
	default:
		if err := c.ready(ctx); err != nil {
			return err
		}
	}
	return c.Settle(ctx)
}

// Object returns an object as the cluster has it.
func (c *cluster) Object(ctx context.Context, kind, namespace, name string) ([]byte, error) {
	return c.objects.Get(ctx, kind, namespace, name)
}

// Keep records the current state of an object. If no workload created the object, the record is on the cluster, because the object
// outlives this process.
func (c *cluster) Keep(ctx context.Context, kind, namespace, name string) (func(context.Context) error, error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	object := kubeobjects.Ref{Kind: kind, Namespace: namespace, Name: name}
	foreign, err := c.objects.Foreign(ctx, kind, namespace, name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	former, pending := c.given[c.key(kind, namespace, name)], c.pending[c.key(kind, namespace, name)]
	c.mu.Unlock()
	if foreign || former == nil {
		if former, err = c.objects.Get(ctx, kind, namespace, name); err != nil {
			return nil, err
		}
	}
	if foreign {
		if err := c.kind.keepFormer(ctx, object, former); err != nil {
			return nil, err
		}
		c.mu.Lock()
		c.kept[c.key(kind, namespace, name)] = true
		c.mu.Unlock()
	}
	return func(ctx context.Context) error {
		switch {
		case former == nil:
			return c.Delete(ctx, kind, namespace, name)
		case foreign:
			_, err := c.objects.Apply(ctx, former)
			return err
		}
		return c.apply(ctx, former, pending)
	}, nil
}

// mustBeKept refuses to change an object that no workload created and that nothing would restore.
func (c *cluster) mustBeKept(object kubeobjects.Ref) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.kept[c.key(object.Kind, object.Namespace, object.Name)] {
		return fmt.Errorf("%s belongs to the cluster and was not kept before this change", object)
	}
	return nil
}

// Delete deletes an object.
func (c *cluster) Delete(ctx context.Context, kind, namespace, name string) error {
	c.changing.Lock()
	defer c.changing.Unlock()
	foreign, err := c.objects.Foreign(ctx, kind, namespace, name)
	if err == nil && foreign {
		err = c.mustBeKept(kubeobjects.Ref{Kind: kind, Namespace: namespace, Name: name})
	}
	if err == nil {
		err = c.objects.Remove(ctx, kind, namespace, name)
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.given, c.key(kind, namespace, name))
	delete(c.pending, c.key(kind, namespace, name))
	c.mu.Unlock()
	return c.dialPods(ctx)
}
