package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/kind/provision"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/clusters/local"
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
