package kind

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/kind/agents"
	"github.com/relapse-k8s/relapse/clusters/kind/kubeobjects"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Swept is what dead runs left, in the words that were printed.
type Swept struct {
	Found []string
	// Unknown are clusters that do not answer, so that it is not known what is on them.
	Unknown []string
}

// Sweep is provision.Sweep, and also removes what dead runs left on kept clusters: their workloads, and the agents. A dry run only prints
// to w what would be removed.
func Sweep(ctx context.Context, w io.Writer, dry bool) (swept Swept, err error) {
	swept.Found, err = provision.Sweep(ctx, w, dry)
	all, noEngine := provision.List(ctx)
	if noEngine != nil {
		return swept, errors.Join(err, ctx.Err())
	}
	errs := []error{err}
	for _, s := range all {
		if s.Run != "" {
			continue
		}
		left, err := sweepStaying(ctx, s.Name, w, dry)
		switch {
		case errors.As(err, new(silent)):
			swept.Unknown = append(swept.Unknown, s.Name)
			_, _ = fmt.Fprintln(w, err)
		case err != nil:
			errs = append(errs, err)
		case left != "":
			swept.Found = append(swept.Found, left)
		}
	}
	return swept, errors.Join(append(errs, ctx.Err())...)
}

// silent is the error of a cluster that does not answer.
type silent struct{ error }

// sweepStaying sweeps a kept cluster, unless a run uses it.
func sweepStaying(ctx context.Context, name string, w io.Writer, dry bool) (left string, err error) {
	claim, err := provision.Claim(name)
	switch {
	case errors.Is(err, runstate.ErrBusy):
		return "", nil
	case err != nil:
		return "", err
	case dry:
		_ = claim.Close() // a dry run must not block others
	default:
		defer claim.Close()
	}
	k := &Kind{}
	objects, owner, err := k.leftOn(ctx, name)
	if err != nil {
		return "", silent{fmt.Errorf("cluster %s does not answer, so it is not known what runs left on it: %w", name, err)}
	}
	// A claim separates only the runs of one user. Everybody can read who owns the agents.
	if len(objects) == 0 || owner != nil && runstate.Lives(owner) {
		return "", nil
	}
	left = fmt.Sprintf("%s from cluster %s, of a run that died", strings.Join(objects, ", "), name)
	if dry {
		_, _ = fmt.Fprintln(w, "would remove", left)
		return left, nil
	}
	if err := errors.Join(k.takeAway(ctx, kubeobjects.RunLabel), k.uninstall(ctx)); err != nil {
		return "", fmt.Errorf("cluster %s: %w", name, err)
	}
	_, _ = fmt.Fprintln(w, "removed", left)
	return left, nil
}

// leftOn opens a cluster and lists what runs left on it, and who owns the agents.
func (k *Kind) leftOn(ctx context.Context, name string) (objects []string, owner map[string]string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Answer, fmt.Errorf("timed out after %s", limits.Answer))
	defer cancel()
	if k.cluster, err = provision.Open(ctx, name); err != nil {
		return nil, nil, err
	}
	if k.objects, err = kubeobjects.New(k.cluster.Config); err != nil {
		return nil, nil, err
	}
	found, err := k.objects.Labelled(ctx, kubeobjects.RunLabel)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range found {
		if !one.Owned {
			objects = append(objects, one.String())
		}
	}
	kept, err := k.keptFormers(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range kept {
		objects = append(objects, "a change of "+one.Annotations[formerOf])
	}
	owner, there, err := agents.Installed(ctx, k.cluster.Client)
	if there {
		objects = append(objects, "the agents")
	}
	return objects, owner, err
}
