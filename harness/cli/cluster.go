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
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/harness/guard"
	"github.com/relapse-k8s/relapse/harness/runstate"
)

func newCluster() *cobra.Command {
	c := &cobra.Command{
		Use: "cluster", Short: "Make and delete kind clusters that scenarios can run on",
		Long: `Cluster makes real Kubernetes clusters out of containers, with kind. It needs
root, and a container engine (Docker) that runs on this machine.

A scenario run with --cluster kind makes a cluster of its own. To use one for
many runs, create it here, and give --cluster kind/NAME.

No packet of a cluster leaves the machine, unless --allow-egress was given: a fence
around its network refuses what is on its way to elsewhere. Nothing is downloaded:
images come from archives (--images), from the engine, or with the nodes' image.`,
		Args: exactly(0, "a command"),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newClusterCreate(), newClusterList(), newClusterDelete(), newClusterImages(), newClusterLoad())
	return c
}

// nameFlag adds --name.
func nameFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "name", "dev", "the cluster's `name`; the engine sees relapse-NAME")
	_ = c.RegisterFlagCompletionFunc("name", completeClusters)
}

// completeClusters completes the names of clusters that are there.
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

// failed gives errors of clusters their exit code.
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
		Use: "create", Short: "Make a kind cluster that stays until it is deleted", Args: exactly(0, "no arguments"),
		Long: `Create makes a kind cluster and returns when it is ready: nodes, CNI, kube-proxy
and CoreDNS. Where that does not come, it says what was last seen, keeps logs,
events and descriptions in the folder --logs, and takes everything away again.

The nodes' image is the one that make node-image made, or kind's own; nothing is
downloaded. --images DIR loads the archives in a folder into the nodes, and one
that holds the nodes' image into the engine.

Exit codes: 0; 1 where it did not get ready; 3 after Ctrl-C; 4 where this machine
lacks an engine or an image.`,
		Example: `  relapse cluster create --nodes 3
  relapse cluster create --name old --proxy iptables --node-image kindest/node:v1.33.0
  relapse cluster create --images ./archives --kubeconfig ./kubeconfig`,
		RunE: func(c *cobra.Command, _ []string) error { return f.create(c) },
	}
	flags := c.Flags()
	nameFlag(c, &f.spec.Name)
	flags.IntVar(&f.spec.Nodes, "nodes", 2, "how many, 1 to 9; the last one is the control plane")
	flags.StringVar(&f.spec.Proxy, "proxy", "nftables", "kube-proxy's mode: iptables, nftables, ipvs or none")
	configFlags(c, &f.spec)
	flags.StringVar(&f.images, "images", "", "`folder` of archives with images to load, in place of a registry")
	flags.BoolVar(&f.spec.AllowEgress, "allow-egress", false, "put up no fence: let packets of the nodes leave this machine")
	flags.StringVar(&f.spec.Logs, "logs", "", "`folder` for what explains a failure; default runs/clusters/NAME")
	flags.DurationVar(&f.spec.Limit, "wait", 3*time.Minute, "how long the cluster may take to get ready; with 0\nit need not, as without a CNI")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "", "write a configuration for kubectl to this `file`")
	flags.BoolVar(&f.quiet, "quiet", false, "print nothing where it gets ready")
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions(provision.Proxies(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

// configFlags adds what decides over images.
func configFlags(c *cobra.Command, s *provision.Spec) {
	flags := c.Flags()
	flags.StringVar(&s.CNI, "cni", "plain", "the CNI: "+strings.Join(cni.Names(), ", "))
	flags.StringVar(&s.Image, "node-image", "", "the nodes' `image`; default what make node-image has made,\nelse kind's own")
	_ = c.RegisterFlagCompletionFunc("cni", cobra.FixedCompletions(cni.Names(), cobra.ShellCompDirectiveNoFileComp))
}

// settle makes a spec of the flags.
func (f *createFlags) settle() error {
	f.spec.Name = provision.FullName(f.spec.Name)
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
		return coded{exitSkipped, errors.New("relapse cluster create wants root, for the fence around the nodes")}
	}
	bin, err := local.FindPrograms("relapse cluster create", "relapse-agent")
	if err != nil {
		return coded{exitSkipped, err}
	}
	out, start := c.OutOrStdout(), time.Now()
	if f.quiet {
		out = io.Discard
	}
	f.spec.Progress = func(doing string) { fmt.Fprintf(out, "%6.1fs  %s\n", time.Since(start).Seconds(), doing) }
	cluster, err := f.guarded(c.Context(), bin)
	if cluster == nil {
		return failed(c.Context(), err)
	}
	f.spec.Progress("ready")
	err = errors.Join(err, f.keepKubeconfig(c.Context(), cluster))
	f.hints(out)
	if err != nil {
		err = fmt.Errorf("cluster %s is there and stays, until %s: %w", f.spec.Name, f.deletion(), err)
	}
	return failed(c.Context(), err)
}

// keepKubeconfig writes it where it was asked for.
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

// hints says what can be done with the cluster.
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

// short is the cluster's name as --name and --cluster take it.
func (f *createFlags) short() string { return strings.TrimPrefix(f.spec.Name, "relapse-") }

// deletion is the command that takes the cluster away.
func (f *createFlags) deletion() string { return "relapse cluster delete --name " + f.short() }

// writable wants a file that can be written, and leaves what is there as it is.
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

// guarded makes the cluster beside a guard, which takes it away where this process is killed before the cluster is whole. Beside an error
// there may be a cluster, which then stays.
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
