package kind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
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
	if err := k.settle(ctx, k.all); err != nil {
		return err
	}
	if k.system, err = k.systemPods(ctx); err != nil {
		return err
	}
	if k.all.pristine, err = k.all.fingerprints(ctx); err != nil {
		return err
	}
	for _, p := range k.parts {
		p.agents, p.pristine = map[string]*agent.Conn{}, map[string]fingerprint.Fingerprint{}
		for i, node := range p.nodes {
			of := "node/" + k.cluster.Nodes[(p.number-1)*len(p.nodes)+i].Name
			p.agents["node/"+node.Name], p.pristine["node/"+node.Name] = k.all.agents[of], k.all.pristine[of]
		}
	}
	return nil
}

func (p *part) fingerprints(ctx context.Context) (map[string]fingerprint.Fingerprint, error) {
	var mu sync.Mutex
	all := map[string]fingerprint.Fingerprint{}
	var errs []error
	var wait sync.WaitGroup
	for place, conn := range p.agents {
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

// check returns why no other lane can have this part, if the workload could not be deleted or left the nodes changed.
func (c *cluster) check(ctx context.Context, err error) string {
	if err == nil {
		err = c.Settle(ctx)
	}
	if err == nil {
		err = c.kind.asBefore(ctx, c.part)
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// asBefore compares a part's nodes with their recorded state. If the cluster's own pods were replaced by others of the same controllers, while
// a lane had the whole cluster, all but what belongs to pods is compared, and then the state is recorded again.
func (k *Kind) asBefore(ctx context.Context, p *part) error {
	what, err := k.replaced(ctx)
	switch {
	case err != nil:
		return err
	case what == "":
		return k.unchanged(ctx, p, nothing)
	case !p.whole():
		return errors.New(what)
	}
	now, err := k.systemPods(ctx)
	if err != nil {
		return err
	}
	if before, now := controllers(k.system), controllers(now); !slices.Equal(before, now) {
		return fmt.Errorf("%s: they had the controllers %v, and have %v", what, before, now)
	}
	if err := k.unchanged(ctx, p, podNetwork.MatchString); err != nil {
		return err
	}
	return k.look(ctx)
}

func nothing(string) bool { return false }

// sameAsBefore compares all nodes when no lane lives. While lanes run side by side, kube-proxies have the rules for all of them, which the
// comparisons in between leave out.
func (k *Kind) sameAsBefore(ctx context.Context) error {
	if len(k.parts) == 0 || k.spoilt() != "" || k.busy() {
		return nil // of what is dirty, a lane has said so
	}
	if err := k.settle(ctx, k.all); err != nil {
		return err
	}
	return k.unchanged(ctx, k.all, nothing)
}

// unchanged waits until a part's nodes are in their recorded state, but for differences that are not to count. A node without its agent can
// no longer be checked.
func (k *Kind) unchanged(ctx context.Context, p *part, but func(string) bool) error {
	var gone error
	err := k.cluster.WaitFor(ctx, limits.SameNodes, func(ctx context.Context) (string, error) {
		what, err := p.changed(ctx, but)
		if errors.Is(err, agent.ErrGone) {
			gone = err
			return "", nil
		}
		return what, err
	})
	return errors.Join(gone, err)
}

// changed lists the differences between the nodes' state now and the recorded one, but for those that are not to count.
func (p *part) changed(ctx context.Context, but func(string) bool) (string, error) {
	now, err := p.fingerprints(ctx)
	if err != nil {
		return "", err
	}
	var all []string
	for place, before := range p.pristine {
		for _, d := range fingerprint.Diff(withoutPortmap(before), withoutPortmap(now[place])) {
			// kube-proxy in iptables mode writes mutually exclusive rules in a different order each time.
			if !strings.HasSuffix(d, "the same lines in another order") && !(!p.whole() && proxyRules.MatchString(d)) && !but(d) {
				all = append(all, place+": "+d)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; "), nil
}

// portmapKept matches the chains that the CNI plugin portmap makes for the first pod with a host port and never deletes, and the jumps to
// them. A pod's own chains have other names. Source: containernetworking/plugins plugins/meta/portmap/portmap_iptables.go.
var portmapKept = regexp.MustCompile(`(?ms)^\s*chain CNI-HOSTPORT-\w+ \{.*?^\s*\}$\n?|^[^\n]*\bjump CNI-HOSTPORT-\w+[^\n]*$\n?`)

// emptyChain matches a chain of iptables without rules, as those are in which these jumps were.
var emptyChain = regexp.MustCompile(`(?m)^\s*chain \w+ \{\n\s*type \w+ hook [^\n]* policy accept;\n\s*\}$\n?`)

func withoutPortmap(f fingerprint.Fingerprint) fingerprint.Fingerprint {
	f.Nft = maps.Clone(f.Nft)
	for table, text := range f.Nft {
		f.Nft[table] = emptyChain.ReplaceAllString(portmapKept.ReplaceAllString(text, ""), "")
	}
	return f
}

// spoilt is why lanes cannot have all of the cluster any more, or nothing.
func (k *Kind) spoilt() string {
	why := k.dirty
	for _, p := range append(slices.Clone(k.parts), k.all) {
		why = cmp.Or(why, p.dirty)
	}
	return why
}

// replaceDirty replaces a dirty cluster with a new one, and says so.
func (k *Kind) replaceDirty(ctx context.Context, spec clusters.Spec) error {
	k.dirty = k.spoilt()
	name := k.cluster.Spec.Name
	why := fmt.Sprintf("cluster %s cannot be used any more and is discarded: %s", name, k.dirty)
	if k.Cluster != "" {
		return fmt.Errorf("%s; delete it with relapse cluster delete --name %s, and create it again", why, name)
	}
	if spec.Progress != nil {
		spec.Progress("making a new cluster in place of the discarded one")
	}
	if err := errors.Join(k.hangUp(ctx), k.cluster.Delete(ctx)); err != nil {
		return fmt.Errorf("%s; deleting it: %w", why, err)
	}
	nodes := k.Spec.Nodes
	if spec.Whole && k.NodesEach > 0 {
		nodes = k.NodesEach // who needs the whole cluster comes last, so nobody needs nodes for lanes side by side any more
	}
	if err := k.create(ctx, nodes); err != nil {
		return fmt.Errorf("%s; making a new one: %w", why, err)
	}
	if spec.Note != nil {
		spec.Note("The " + why + ". A new one was made.")
	}
	return nil
}
