package cli

import (
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
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/clusters/local"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// clusterFlags say where to run.
type clusterFlags struct {
	cluster     string
	cni, image  string
	images      string
	allowEgress bool
	// bin is the folder of relapse's own programs, once there is a provider.
	bin string
}

// needed is what a cluster must be for the scenarios that are to run on it.
type needed struct {
	proxy string
	nodes int
	out   string
	// command is what a person would type to do this again.
	command []string
	tell    func(doing string)
}

func (f *clusterFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.cluster, "cluster", "lab", "where to run: lab, kind, or kind/NAME for a cluster\nthat relapse cluster create has made")
	flags.StringVar(&f.cni, "cni", "plain", "on kind: the CNI, plain or kindnet")
	flags.StringVar(&f.image, "node-image", "", "on kind: the nodes' `image`; default what make node-image\nhas made, else kind's own")
	flags.StringVar(&f.images, "images", "", "on kind: `folder` of archives with images to load, in place of a registry")
	flags.BoolVar(&f.allowEgress, "allow-egress", false, "on kind: let packets of the nodes leave this machine")
	complete := func(words ...string) cobra.CompletionFunc {
		return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	}
	_ = c.RegisterFlagCompletionFunc("cluster", complete("lab", "kind"))
	_ = c.RegisterFlagCompletionFunc("cni", complete("plain", "kindnet"))
}

// onKind is whether kind was asked for, and the name of the cluster where it is one that is there.
func (f *clusterFlags) onKind() (name string, ok bool) {
	kind, name, _ := strings.Cut(f.cluster, "/")
	return name, kind == "kind"
}

// clusterErr says what is wrong with the flags.
func (f *clusterFlags) clusterErr() error {
	name, onKind := f.onKind()
	switch {
	case f.cluster == "lab" || f.cluster == "kind" || onKind && name != "":
	default:
		return usagef("--cluster %s: there are lab, kind and kind/NAME", f.cluster)
	}
	if f.cni != "plain" && f.cni != "kindnet" {
		return usagef("--cni %s: there are plain and kindnet", f.cni)
	}
	if f.cluster == "kind" {
		return nil
	}
	alone := func(flag string) error {
		return usagef("--%s: it is for clusters that --cluster kind makes, and the run is on %s", flag, f.cluster)
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

// fit makes the run one for the cluster that is there, in its kube-proxy's mode, or says what keeps the scenarios from running on it,
// before anything is put on its nodes.
func (f *runFlags) fit(c *cobra.Command, list ...*scenario.Scenario) error {
	name, _ := f.onKind()
	if name == "" || os.Geteuid() != 0 { // who is not root is told of that
		return nil
	}
	there, found, err := provision.Find(c.Context(), name)
	switch {
	case err != nil:
		return coded{exitSkipped, err}
	case !found:
		return usagef("--cluster %s: there is no cluster %s; relapse cluster list lists them", f.cluster, provision.FullName(name))
	}
	return f.fitTo(there, c.Flags().Changed("proxy"), list)
}

func (f *runFlags) fitTo(there provision.Summary, proxyGiven bool, list []*scenario.Scenario) error {
	switch {
	case there.Run != "":
		return usagef("--cluster %s: it goes with run %s, and is nobody else's", f.cluster, there.Run)
	case !slices.Contains(proxies, there.Proxy):
		return usagef("--cluster %s: kube-proxy's mode is %s there, and scenarios run with %s", f.cluster, there.Proxy, strings.Join(proxies, " or "))
	case !proxyGiven:
		f.proxy = there.Proxy
	case f.proxy != there.Proxy:
		return usagef("--proxy %s: kube-proxy's mode is %s on %s; leave --proxy out", f.proxy, there.Proxy, f.cluster)
	}
	var wanting []string
	for _, s := range list {
		if s.Topology.Nodes > len(there.Nodes) {
			wanting = append(wanting, fmt.Sprintf("%s wants %d", s.Metadata.ID, s.Topology.Nodes))
		}
	}
	if len(wanting) > 0 {
		return usagef("--cluster %s: it has too few nodes (%d): %s; see relapse cluster create --nodes", f.cluster, len(there.Nodes), strings.Join(wanting, ", "))
	}
	return nil
}

// provider makes clusters of the kind that was asked for; labs in a user namespace where the caller is an ordinary user. What it
// opens is closed by closeProvider.
func (f *clusterFlags) provider(ctx context.Context, n needed) (clusters.Provider, error) {
	if _, ok := f.onKind(); ok {
		return f.kindProvider(ctx, n)
	}
	if err := enterUserNamespace(); err != nil {
		return nil, err
	}
	provider, err := lab.New()
	if err != nil {
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
		return nil, coded{exitSkipped, errors.New("--cluster kind wants root, for the fence around the nodes")}
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
		Bin: bin, Cluster: name, Command: n.command, Logs: filepath.Join(n.out, "clusters"),
		Spec: provision.Spec{
			Nodes: n.nodes, Proxy: n.proxy, CNI: f.cni, Image: f.image, Archives: archives, AllowEgress: f.allowEgress, Progress: n.tell,
		},
	})
	err = provider.Open(ctx)
	if errors.Is(err, clusters.ErrMissing) {
		err = coded{exitSkipped, err}
	}
	return provider, err
}

// closeLimit bounds the end of what a provider has opened.
const closeLimit = 2 * time.Minute

// closeProvider takes away what a provider has opened, also after Ctrl-C.
func closeProvider(ctx context.Context, provider clusters.Provider) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	return provider.Close(ctx)
}
