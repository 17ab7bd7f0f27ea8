package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// runCNIs are the CNIs that scenarios run on. Without one, no pod starts.
var runCNIs = slices.DeleteFunc(cni.Names(), func(name string) bool { return name == "none" })

// clusterFlags say where to run.
type clusterFlags struct {
	cluster     string
	cni, image  string
	images      string
	allowEgress bool
	anyObject   bool
	// bin is the folder of relapse's own programs, once there is a provider.
	bin string
}

// needed is what the scenarios of a run require of a cluster.
type needed struct {
	proxy string
	// nodes is how many a lane needs, and lanes is how many can run at once.
	nodes, lanes int
	out          string
	// command is the command line that starts this run again.
	command []string
	tell    func(doing string)
}

func (f *clusterFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.cluster, "cluster", "lab", "where to run: lab, kind, or kind/NAME for a cluster\nmade with relapse cluster create")
	flags.StringVar(&f.cni, "cni", "plain", "with --cluster kind: CNI, "+strings.Join(runCNIs, ", "))
	flags.StringVar(&f.image, "node-image", "", "with --cluster kind: node `image` (default: the one\nbuilt by make node-image, or kind's own)")
	flags.StringVar(&f.images, "images", "", "with --cluster kind: `folder` of image archives to\nload instead of using a registry")
	flags.BoolVar(&f.allowEgress, "allow-egress", false, "with --cluster kind: no fence: let packets of the\nnodes leave this machine")
	flags.BoolVar(&f.anyObject, "allow-any-object", false, "with --cluster kind: let a scenario's file make also\nobjects that could hurt this machine")
	complete := func(words ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	_ = c.RegisterFlagCompletionFunc("cluster", complete("lab", "kind"))
	_ = c.RegisterFlagCompletionFunc("cni", complete(runCNIs...))
}

// onKind returns whether the run is on kind, and the name of an existing cluster if --cluster gives one.
func (f *clusterFlags) onKind() (name string, ok bool) {
	kind, name, _ := strings.Cut(f.cluster, "/")
	return name, kind == "kind"
}

// target is where the run is to take place.
func (f *clusterFlags) target() target {
	if _, ok := f.onKind(); ok {
		return target{cluster: "kind", anyObject: f.anyObject}
	}
	return target{cluster: "lab"}
}

// clusterErr says what is wrong with the flags.
func (f *clusterFlags) clusterErr() error {
	name, onKind := f.onKind()
	switch {
	case f.cluster == "lab" || f.cluster == "kind" || onKind && name != "":
	default:
		return usagef("invalid --cluster %q: must be lab, kind or kind/NAME", f.cluster)
	}
	if err := oneOf("cni", f.cni, runCNIs); err != nil {
		return err
	}
	if f.cluster == "kind" {
		return nil
	}
	if f.anyObject && !onKind {
		return usagef("--allow-any-object can only be used with --cluster kind or kind/NAME, not with --cluster %s", f.cluster)
	}
	alone := func(flag string) error {
		return usagef("--%s can only be used with --cluster kind, not with --cluster %s", flag, f.cluster)
	}
	switch {
	case f.cni != "plain":
		return alone("cni")
	case f.image != "":
		return alone("node-image")
	case f.images != "":
		return alone("images")
	case f.allowEgress:
		return alone("allow-egress")
	}
	return nil
}

// fit checks, before anything is put on the nodes of an existing cluster, that the scenarios can run on it, and takes over the mode
// of its kube-proxy.
func (f *runFlags) fit(c *cobra.Command, list ...*scenario.Scenario) error {
	name, _ := f.onKind()
	if name == "" || os.Geteuid() != 0 { // without root, kindProvider returns the error
		return nil
	}
	there, found, err := provision.Find(c.Context(), name)
	switch {
	case err != nil:
		return coded{exitSkipped, err}
	case !found:
		return usagef("--cluster %s: cluster %s not found; see relapse cluster list", f.cluster, provision.FullName(name))
	}
	return f.fitTo(there, c.Flags().Changed("proxy"), list)
}

func (f *runFlags) fitTo(there provision.Summary, proxyGiven bool, list []*scenario.Scenario) error {
	switch {
	case there.Run != "":
		return usagef("--cluster %s: the cluster belongs to run %s", f.cluster, there.Run)
	case !slices.Contains(modes(there.CNI), there.Proxy):
		return usagef("--cluster %s: its kube-proxy mode is %s; scenarios need %s", f.cluster, there.Proxy, strings.Join(modes(there.CNI), " or "))
	case !proxyGiven:
		f.proxy = there.Proxy
	case f.proxy != there.Proxy:
		return usagef("--proxy %s: the kube-proxy mode of %s is %s; leave out --proxy", f.proxy, f.cluster, there.Proxy)
	}
	var tooLarge []string
	for _, s := range list {
		if s.Topology.Nodes > len(there.Nodes) {
			tooLarge = append(tooLarge, fmt.Sprintf("%s needs %d", s.Metadata.ID, s.Topology.Nodes))
		}
	}
	if len(tooLarge) > 0 {
		return usagef("--cluster %s: too few nodes (%d): %s; see relapse cluster create --nodes", f.cluster, len(there.Nodes), strings.Join(tooLarge, ", "))
	}
	return nil
}

// provider returns the provider for --cluster. For the lab it enters a user namespace if the caller is not root. What it opens is
// closed by closeProvider.
func (f *clusterFlags) provider(ctx context.Context, n needed) (clusters.Provider, error) {
	if _, ok := f.onKind(); ok {
		return f.kindProvider(ctx, n)
	}
	if err := enterUserNamespace(); err != nil {
		return nil, err
	}
	provider, err := lab.New()
	if err = cmp.Or(err, lab.Missing(n.proxy)); err != nil {
		return nil, coded{exitSkipped, err}
	}
	f.bin = provider.Bin
	return provider, nil
}

func (f *clusterFlags) kindProvider(ctx context.Context, n needed) (clusters.Provider, error) {
	bin, err := local.FindPrograms("kind", "relapse-agent", "relapse-coredns")
	if err != nil {
		return nil, coded{exitSkipped, err}
	}
	if os.Geteuid() != 0 {
		return nil, coded{exitSkipped, errors.New("--cluster kind needs root, for the fence around the nodes")}
	}
	var archives []string
	if f.images != "" {
		if archives, err = provision.Archives(f.images); err != nil {
			return nil, usage(fmt.Errorf("--images: %w", err))
		}
	}
	f.bin = bin
	name, _ := f.onKind()
	provider := kind.New(kind.Options{
		Bin: bin, Cluster: name, Command: n.command, Logs: filepath.Join(n.out, "clusters"), AnyObject: f.anyObject, NodesEach: n.nodes,
		Spec: provision.Spec{
			Nodes: kind.Nodes(n.lanes, n.nodes), Proxy: n.proxy, CNI: f.cni, Image: f.image, Archives: archives, AllowEgress: f.allowEgress, Progress: n.tell, Folder: f.images,
		},
	})
	err = provider.Open(ctx)
	if errors.Is(err, clusters.ErrMissing) {
		err = coded{exitSkipped, err}
	}
	return provider, err
}

// closeLimit is how long closing a provider may take.
const closeLimit = 2 * time.Minute

// closeProvider removes what a provider has opened, also after Ctrl-C.
func closeProvider(ctx context.Context, provider clusters.Provider) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	return provider.Close(ctx)
}
