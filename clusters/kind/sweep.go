package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
)

// answerLimit is how long a cluster that stays may take to say what is on it.
const answerLimit = 10 * time.Second

// Sweep is provision.Sweep, and takes what runs that died have left on clusters that stay: their workloads, and the agents. In a dry run
// it only says on w what there is.
func Sweep(ctx context.Context, w io.Writer, dry bool) (found []string, err error) {
	found, err = provision.Sweep(ctx, w, dry)
	all, noEngine := provision.List(ctx)
	if noEngine != nil {
		return found, errors.Join(err, ctx.Err())
	}
	errs := []error{err}
	for _, s := range all {
		if s.Run != "" {
			continue
		}
		left, err := sweepStaying(ctx, s.Name, w, dry)
		errs = append(errs, err)
		if left != "" {
			found = append(found, left)
		}
	}
	return found, errors.Join(errs...)
}

// sweepStaying leaves a cluster alone that a run uses.
func sweepStaying(ctx context.Context, name string, w io.Writer, dry bool) (left string, err error) {
	claim, err := provision.Claim(name)
	if err != nil {
		return "", nil // a run that lives uses it
	}
	defer claim.Close()
	k := &Kind{}
	objects, err := k.leftOn(ctx, name)
	if err != nil {
		_, _ = fmt.Fprintf(w, "cluster %s does not answer, so nothing is known of what is on it: %v\n", name, err)
		return "", ctx.Err()
	}
	if len(objects) == 0 {
		return "", nil
	}
	left = fmt.Sprintf("%s from cluster %s, of a run that died", strings.Join(objects, ", "), name)
	if dry {
		_, _ = fmt.Fprintln(w, "would remove", left)
		return left, nil
	}
	if err := errors.Join(k.sweep(ctx), agents.Uninstall(ctx, k.cluster.Client)); err != nil {
		return "", fmt.Errorf("cluster %s: %w", name, err)
	}
	_, _ = fmt.Fprintln(w, "removed", left)
	return left, nil
}

// leftOn opens a cluster and says what of runs is on it.
func (k *Kind) leftOn(ctx context.Context, name string) (objects []string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, answerLimit, fmt.Errorf("limit of %s", answerLimit))
	defer cancel()
	if k.cluster, err = provision.Open(ctx, name); err != nil {
		return nil, err
	}
	if k.objects, err = newObjects(k.cluster.Config); err != nil {
		return nil, err
	}
	found, err := k.objects.labelled(ctx, runLabel)
	if err != nil {
		return nil, err
	}
	for _, one := range found {
		objects = append(objects, one.String())
	}
	there, err := agents.Installed(ctx, k.cluster.Client)
	if there {
		objects = append(objects, "the agents")
	}
	return objects, err
}
