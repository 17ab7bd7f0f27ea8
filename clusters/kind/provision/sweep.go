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

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
)

// ownerRun is the key of the run's id in an owner's environment.
const ownerRun = runstate.EnvRun

// labels of a cluster's network.
func (m *maker) labels() map[string]string {
	egress := "closed"
	if m.Spec.AllowEgress {
		egress = "open"
	}
	labels := map[string]string{
		labelCluster: m.Spec.Name, containers.LabelInstance: m.instance, labelProxy: m.Spec.Proxy, labelCNI: m.Spec.CNI,
		labelImage: m.Spec.Image, labelEgress: egress,
	}
	if m.made.guard != nil && !m.Spec.Stay {
		for key, value := range m.made.guard.State().Ownership() {
			labels[labelOwner+strings.ToLower(key)] = value
		}
	}
	return labels
}

// ownerOf reads the run's environment from labels.
func ownerOf(labels map[string]string) map[string]string {
	owner := map[string]string{}
	for key, value := range labels {
		if name, ok := strings.CutPrefix(key, labelOwner); ok {
			owner[strings.ToUpper(name)] = value
		}
	}
	return owner
}

// Sweep deletes clusters, containers and fences of dead runs whose state folder is gone. (If a folder exists, its journal has them.) A
// dry run only prints to w what would be deleted. If no engine is running, it finds nothing.
func Sweep(ctx context.Context, w io.Writer, dry bool) (found []string, err error) {
	docker, noEngine := containers.Find(ctx)
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
		_, _ = fmt.Fprintln(w, verb, what) // the same text is returned
	}
	// List containers before networks: a new cluster gets its network first, so its containers are not mistaken for orphans.
	owners, err := containerOwners(ctx, docker)
	if err != nil {
		return nil, err
	}
	clusters, err := list(ctx, docker)
	if err != nil {
		return nil, err
	}
	for _, c := range clusters {
		if c.Run == "" || !runstate.Abandoned(c.owner) {
			continue
		}
		orphan(fmt.Sprintf("cluster %s of run %s, which has no folder any more", c.Name, c.Run), func() error {
			return deletion(docker, c.Name, c.instance).undo(ctx)
		})
	}
	for _, o := range owners {
		if !slices.ContainsFunc(clusters, func(s Summary) bool { return s.Name == o.cluster }) {
			orphan(fmt.Sprintf("containers of cluster %s, which has no network any more", o.cluster), func() error {
				return deletion(docker, o.cluster, o.instance).undo(ctx)
			})
		}
	}
	instances, err := fences()
	if err != nil {
		return found, errors.Join(errs...) // a user who may not list rules has made none
	}
	for _, instance := range instances {
		if _, err := netlink.LinkByName(bridgeOf(instance)); errors.As(err, &netlink.LinkNotFoundError{}) {
			orphan("fence "+fencePrefix+instance+", whose bridge is gone", func() error { return fenceRecord(instance).Undo(ctx) })
		}
	}
	return found, errors.Join(errs...)
}

// containerOwner is the cluster that a container belongs to.
type containerOwner struct{ cluster, instance string }

// containerOwners lists the owners of all containers that relapse has made.
func containerOwners(ctx context.Context, docker containers.Engine) ([]containerOwner, error) {
	text, err := docker.Run(ctx, "ps", "--all", "--filter", "label="+containers.LabelInstance, "--filter", "label="+containers.LabelKindCluster,
		"--format", fmt.Sprintf("{{.Label %q}} {{.Label %q}}", containers.LabelKindCluster, containers.LabelInstance))
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
