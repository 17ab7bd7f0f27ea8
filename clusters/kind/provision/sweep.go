package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// ownerRun is the key of the run's id among what is known of an owner.
const ownerRun = runstate.EnvRun

// labels are those of a cluster's network.
func (m *maker) labels() map[string]string {
	egress := "closed"
	if m.Spec.AllowEgress {
		egress = "open"
	}
	labels := map[string]string{
		labelCluster: m.Spec.Name, undo.LabelInstance: m.instance, labelProxy: m.Spec.Proxy, labelCNI: m.Spec.CNI,
		labelImage: m.Spec.Image, labelEgress: egress,
	}
	if m.made.guard != nil && !m.Spec.Stay {
		for key, value := range m.made.guard.State().Ownership() {
			labels[labelOwner+strings.ToLower(key)] = value
		}
	}
	return labels
}

// ownerOf reads the run's environment back from labels.
func ownerOf(labels map[string]string) map[string]string {
	owner := map[string]string{}
	for key, value := range labels {
		if name, ok := strings.CutPrefix(key, labelOwner); ok {
			owner[strings.ToUpper(name)] = value
		}
	}
	return owner
}

// Sweep deletes clusters, containers and fences of runs that nobody looks after and that have no folder any more; those that have one
// are in its journal. In a dry run it only says on w what there is. Where no engine answers there is nothing to find in it.
func Sweep(ctx context.Context, w io.Writer, dry bool) (found []string, err error) {
	engine, noEngine := undo.FindEngine(ctx)
	if noEngine != nil {
		return nil, ctx.Err()
	}
	var errs []error
	orphan := func(what string, remove func() error) {
		verb := "removed"
		if dry {
			verb = "would remove"
		} else if err := remove(); err != nil {
			errs = append(errs, err)
			return
		}
		found = append(found, what)
		_, _ = fmt.Fprintln(w, verb, what) // what is said is returned too
	}
	// Containers before networks: what is made meanwhile has its network first, and is not taken for lost.
	owners, err := containerOwners(ctx, engine)
	if err != nil {
		return nil, err
	}
	clusters, err := list(ctx, engine)
	if err != nil {
		return nil, err
	}
	for _, c := range clusters {
		if c.Run == "" || !runstate.Abandoned(c.owner) {
			continue
		}
		orphan(fmt.Sprintf("cluster %s of run %s, which has no folder any more", c.Name, c.Run), func() error {
			return deletion(engine, c.Name, c.instance).undo(ctx)
		})
	}
	for _, o := range owners {
		if !slices.ContainsFunc(clusters, func(s Summary) bool { return s.Name == o.cluster }) {
			orphan(fmt.Sprintf("containers of cluster %s, which has no network any more", o.cluster), func() error {
				return deletion(engine, o.cluster, o.instance).undo(ctx)
			})
		}
	}
	instances, err := fences()
	if err != nil {
		return found, errors.Join(errs...) // whoever may not see rules has made none
	}
	for _, instance := range instances {
		if _, err := netlink.LinkByName(bridgeOf(instance)); errors.As(err, &netlink.LinkNotFoundError{}) {
			orphan("fence "+fencePrefix+instance+", whose bridge is gone", func() error { return fenceRecord(instance).Undo(ctx) })
		}
	}
	return found, errors.Join(errs...)
}

// containerOwner is the cluster that a container is of.
type containerOwner struct{ cluster, instance string }

// containerOwners are those of the containers that relapse has made.
func containerOwners(ctx context.Context, engine undo.Engine) ([]containerOwner, error) {
	text, err := engine.Run(ctx, "ps", "--all", "--filter", "label="+undo.LabelInstance, "--filter", "label="+undo.LabelKindCluster,
		"--format", fmt.Sprintf("{{.Label %q}} {{.Label %q}}", undo.LabelKindCluster, undo.LabelInstance))
	if err != nil {
		return nil, err
	}
	found := map[containerOwner]bool{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 2 && (Spec{Name: words[0]}).Check() == nil {
			found[containerOwner{words[0], words[1]}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b containerOwner) int {
		return cmp.Or(strings.Compare(a.cluster, b.cluster), strings.Compare(a.instance, b.instance))
	}), nil
}
