package kind

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/fingerprint"
	"github.com/relapse-k8s/relapse/harness/readers"
)

// look remembers how the nodes look without a workload.
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

// judge condemns the cluster where a workload could not be taken away, or has left the nodes unlike they were before.
func (k *Kind) judge(ctx context.Context, err error) {
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
		k.condemned = err.Error()
	}
}

// unchanged waits until the nodes look as they did. Whose agent is gone cannot be looked at any more.
func (k *Kind) unchanged(ctx context.Context) error {
	var gone error
	err := k.eventually(ctx, sameLimit, func(ctx context.Context) (string, error) {
		what, err := k.changed(ctx)
		if errors.Is(err, agent.ErrGone) {
			gone = err
			return "", nil
		}
		return what, err
	})
	return errors.Join(gone, err)
}

// changed says how the nodes differ from what they were.
func (k *Kind) changed(ctx context.Context) (string, error) {
	now, err := k.fingerprints(ctx)
	if err != nil {
		return "", err
	}
	var all []string
	for place, before := range k.pristine {
		for _, d := range fingerprint.Diff(before, now[place]) {
			// kube-proxy in iptables mode writes rules that exclude each other in an order of its own every time.
			if !strings.HasSuffix(d, "the same lines in another order") {
				all = append(all, place+": "+d)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; "), nil
}

// replaceCondemned makes a new cluster in the place of one that no lane may use any more, and says so.
func (k *Kind) replaceCondemned(ctx context.Context, spec clusters.Spec) error {
	if k.condemned == "" {
		return nil
	}
	name := k.cluster.Spec.Name
	why := fmt.Sprintf("cluster %s is condemned, and no workload may use it any more: %s", name, k.condemned)
	if k.Cluster != "" {
		return fmt.Errorf("%s; relapse cluster delete --name %s, and make it again", why, name)
	}
	if spec.Progress != nil {
		spec.Progress("making a new cluster in the place of one that is condemned")
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
