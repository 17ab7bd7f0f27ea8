package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/fingerprint"
	"github.com/relapse-k8s/relapse/clusters/agent/readers"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// look records the state of the nodes without a workload.
func (k *Kind) look(ctx context.Context) (err error) {
	if err := k.settle(ctx); err != nil {
		return err
	}
	if k.system, err = k.systemPods(ctx); err != nil {
		return err
	}
	k.pristine, err = k.fingerprints(ctx)
	return err
}

func (k *Kind) fingerprints(ctx context.Context) (map[string]fingerprint.Fingerprint, error) {
	var mu sync.Mutex
	all := map[string]fingerprint.Fingerprint{}
	var errs []error
	var wait sync.WaitGroup
	for place, conn := range k.nodes {
		wait.Go(func() {
			f, err := readers.TakeFingerprint.Call(ctx, conn, fingerprint.Options{}, nil)
			mu.Lock()
			defer mu.Unlock()
			all[place] = f
			errs = append(errs, err)
		})
	}
	wait.Wait()
	return all, errors.Join(errs...)
}

// check marks the cluster as dirty if a workload could not be deleted or left the nodes changed.
func (k *Kind) check(ctx context.Context, err error) {
	if err == nil {
		err = k.settle(ctx)
	}
	if err == nil {
		var what string
		if what, err = k.replaced(ctx); what != "" {
			err = errors.New(what)
		}
	}
	if err == nil {
		err = k.unchanged(ctx)
	}
	if err != nil {
		k.dirty = err.Error()
	}
}

// unchanged waits until the nodes are in their recorded state. A node without its agent can no longer be checked.
func (k *Kind) unchanged(ctx context.Context) error {
	var gone error
	err := k.cluster.WaitFor(ctx, limits.SameNodes, func(ctx context.Context) (string, error) {
		what, err := k.changed(ctx)
		if errors.Is(err, agent.ErrGone) {
			gone = err
			return "", nil
		}
		return what, err
	})
	return errors.Join(gone, err)
}

// changed lists the differences between the nodes' state now and the recorded one.
func (k *Kind) changed(ctx context.Context) (string, error) {
	now, err := k.fingerprints(ctx)
	if err != nil {
		return "", err
	}
	var all []string
	for place, before := range k.pristine {
		for _, d := range fingerprint.Diff(before, now[place]) {
			// kube-proxy in iptables mode writes mutually exclusive rules in a different order each time.
			if !strings.HasSuffix(d, "the same lines in another order") {
				all = append(all, place+": "+d)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; "), nil
}

// replaceDirty replaces a dirty cluster with a new one, and says so.
func (k *Kind) replaceDirty(ctx context.Context, spec clusters.Spec) error {
	if k.dirty == "" {
		return nil
	}
	name := k.cluster.Spec.Name
	why := fmt.Sprintf("cluster %s cannot be used any more and is discarded: %s", name, k.dirty)
	if k.Cluster != "" {
		return fmt.Errorf("%s; delete it with relapse cluster delete --name %s, and create it again", why, name)
	}
	if spec.Progress != nil {
		spec.Progress("making a new cluster in place of the discarded one")
	}
	for _, conn := range k.nodes {
		_ = conn.Close() // the agents end with the streams
	}
	k.nodes = nil
	if err := k.cluster.Delete(ctx); err != nil {
		return fmt.Errorf("%s; deleting it: %w", why, err)
	}
	if err := k.create(ctx); err != nil {
		return fmt.Errorf("%s; making a new one: %w", why, err)
	}
	if spec.Note != nil {
		spec.Note("The " + why + ". A new one was made.")
	}
	return nil
}
