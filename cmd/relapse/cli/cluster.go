package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/local"
)

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use: "cluster", Short: "Create and delete kind clusters for scenarios",
		Long: `Cluster manages real Kubernetes clusters in containers, with kind. It needs root
and a running container engine (Docker).

relapse run --cluster kind creates a cluster for the run and deletes it at the
end. To use one cluster for many runs, create it with relapse cluster create, and
run with --cluster kind/NAME.

A fence around the cluster's network rejects packets that would leave the machine,
unless --allow-egress is given. Images come from the node image, from the container
engine, or from archives (--images). Only the manifest or chart and the images of
Calico and Cilium are downloaded, by this machine, if there is no --images.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newClusterCreate(), newClusterList(), newClusterDelete(), newClusterImages(), newClusterLoad())
	return c
}

// nameFlag adds --name.
func nameFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "name", "dev", "the cluster's `name`; in the engine it is relapse-NAME")
	_ = c.RegisterFlagCompletionFunc("name", completeClusters)
}

// completeClusters completes the names of existing clusters.
func completeClusters(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	all, err := provision.List(c.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, s := range all {
		names = append(names, strings.TrimPrefix(s.Name, "relapse-"))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// failed gives an error of a cluster its exit code.
func failed(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return coded{exitInconclusive, err}
	case errors.Is(err, clusters.ErrMissing):
		return coded{exitSkipped, err}
	}
	return coded{exitFail, err}
}

type createFlags struct {
	spec       provision.Spec
	images     string
	kubeconfig string
	quiet      bool
}

func newClusterCreate() *cobra.Command {
	var f createFlags
	c := &cobra.Command{
		Use: "create", Short: "Create a kind cluster", Args: exactly(0, "no arguments"),
		Long: `Create creates a kind cluster and returns when nodes, CNI, kube-proxy and CoreDNS
are ready. The cluster is kept until you delete it. If it does not become ready,
create says what it saw last, keeps logs, events and descriptions in the folder
--logs, and deletes the cluster.

The node image is the one built by make node-image, or kind's own. --images DIR
loads the image archives in a folder into the nodes, and an archive of the node
image into the engine. It is also where Calico's manifest or Cilium's chart then
come from; see relapse cluster images.

Exit codes: 0 on success, 1 if it did not become ready, 3 after Ctrl-C, 4 if this
machine has no running Docker or not the image.`,
		Example: `  relapse cluster create --nodes 3
  relapse cluster create --name old --proxy iptables --node-image kindest/node:v1.33.0
  relapse cluster create --images ./archives --kubeconfig ./kubeconfig`,
		RunE: func(c *cobra.Command, _ []string) error { return f.create(c) },
	}
	flags := c.Flags()
	nameFlag(c, &f.spec.Name)
	flags.IntVar(&f.spec.Nodes, "nodes", 2, fmt.Sprintf("number of nodes, 1 to %d; the last one is the\ncontrol plane", provision.MaxNodes))
	flags.StringVar(&f.spec.Proxy, "proxy", "nftables", "kube-proxy mode: iptables, nftables, ipvs or none")
	configFlags(c, &f.spec)
	flags.StringVar(&f.images, "images", "", "`folder` of image archives to load, instead of using\na registry")
	flags.BoolVar(&f.spec.AllowEgress, "allow-egress", false, "no fence: let packets of the nodes leave this\nmachine")
	flags.StringVar(&f.spec.Logs, "logs", "", "`folder` for logs if it does not become ready\n(default runs/clusters/relapse-NAME)")
	flags.DurationVar(&f.spec.Limit, "wait", 3*time.Minute, "how long to wait until it is ready; 0 does not\nwait, for example without a CNI")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "write a kubeconfig to this `file`")
	flags.BoolVar(&f.quiet, "quiet", false, "print only errors")
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions(provision.Proxies(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// configFlags adds the flags that determine which images are needed.
func configFlags(c *cobra.Command, s *provision.Spec) {
	flags := c.Flags()
	flags.StringVar(&s.CNI, "cni", "plain", "CNI: "+strings.Join(cni.Names(), ", "))
	flags.StringVar(&s.Image, "node-image", "", "node `image` (default: the one built by make\nnode-image, or kind's own)")
	_ = c.RegisterFlagCompletionFunc("cni", cobra.FixedCompletions(cni.Names(), cobra.ShellCompDirectiveNoFileComp))
}

// settle completes the spec from the flags.
func (f *createFlags) settle() error {
	f.spec.Name, f.spec.Folder = provision.FullName(f.spec.Name), f.images
	if f.images != "" {
		var err error
		if f.spec.Archives, err = provision.Archives(f.images); err != nil {
			return fmt.Errorf("--images: %w", err)
		}
	}
	if f.kubeconfig != "" {
		if err := writable(f.kubeconfig); err != nil {
			return fmt.Errorf("--kubeconfig: %w", err)
		}
	}
	if f.spec.Limit == 0 {
		f.spec.Limit = -1
	}
	if f.spec.Logs == "" {
		f.spec.Logs = filepath.Join("runs", "clusters", f.spec.Name)
	}
	f.spec.Stay = true
	return f.spec.Check()
}

func (f *createFlags) create(c *cobra.Command) (err error) {
	if err := f.settle(); err != nil {
		return usage(err)
	}
	if os.Geteuid() != 0 {
		return coded{exitSkipped, errors.New("relapse cluster create needs root, for the fence around the nodes")}
	}
	bin, err := local.FindPrograms("relapse cluster create", "relapse-agent")
	if err != nil {
		return coded{exitSkipped, err}
	}
	out, start := c.OutOrStdout(), time.Now()
	if f.quiet {
		out = io.Discard
	}
	f.spec.Bin = bin
	f.spec.Progress = func(doing string) { fmt.Fprintf(out, "%6.1fs  %s\n", time.Since(start).Seconds(), doing) }
	cluster, err := f.guarded(c.Context(), bin)
	if cluster == nil {
		return failed(c.Context(), err)
	}
	f.spec.Progress("ready")
	err = errors.Join(err, f.keepKubeconfig(c.Context(), cluster))
	f.hints(out)
	if err != nil {
		err = fmt.Errorf("cluster %s was created and is kept, until you run %s: %w", f.spec.Name, f.deletion(), err)
	}
	return failed(c.Context(), err)
}

// keepKubeconfig writes the kubeconfig if --kubeconfig is given.
func (f *createFlags) keepKubeconfig(ctx context.Context, cluster *provision.Cluster) error {
	if f.kubeconfig == "" {
		return nil
	}
	text, err := cluster.Kubeconfig(ctx)
	if err != nil {
		return err
	}
	return os.WriteFile(f.kubeconfig, []byte(text), 0o600)
}

// hints prints commands to use the cluster with.
func (f *createFlags) hints(out io.Writer) {
	p := page{w: out, width: width(out)}
	p.verbatim("", "")
	if f.spec.Nodes > 1 && f.spec.CNI != "none" && slices.Contains(proxies, f.spec.Proxy) {
		p.verbatim("", "relapse run dns-5s --cluster kind/"+f.short())
	}
	p.verbatim("", fmt.Sprintf("docker exec -it %s-control-plane kubectl get pods -A", f.spec.Name))
	if f.kubeconfig != "" {
		p.verbatim("", "kubectl --kubeconfig "+f.kubeconfig+" get pods -A")
	}
	p.verbatim("", f.deletion())
}

// short is the cluster's name as given to --name and --cluster.
func (f *createFlags) short() string { return strings.TrimPrefix(f.spec.Name, "relapse-") }

// deletion is the command that deletes the cluster.
func (f *createFlags) deletion() string { return "relapse cluster delete --name " + f.short() }

// writable checks that a file can be written, without changing or creating it.
func writable(path string) error {
	_, err := os.Lstat(path)
	absent := errors.Is(err, fs.ErrNotExist)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = file.Close()
	if absent {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// guarded creates the cluster with a guard, which deletes it if this process is killed before the cluster is complete. A cluster
// can be returned together with an error; it is then kept.
func (f *createFlags) guarded(ctx context.Context, bin string) (cluster *provision.Cluster, err error) {
	state, err := runstate.New("cluster create", os.Args)
	if err != nil {
		return nil, err
	}
	g, err := guard.Start(ctx, filepath.Join(bin, "relapse-agent"), filepath.Join(state.Folder(), "guard.log"), state)
	if err != nil {
		return nil, errors.Join(err, state.Remove())
	}
	defer func() { err = errors.Join(err, g.Close(), state.Close()) }()
	return provision.Create(ctx, f.spec, g)
}
