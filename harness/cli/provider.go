package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/lab"
)

// clusterFlags say where to run.
type clusterFlags struct {
	cluster string
	// bin is the folder of relapse's own programs, once there is a provider.
	bin string
}

func (f *clusterFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.cluster, "cluster", "lab", "where to run: lab")
	_ = c.RegisterFlagCompletionFunc("cluster", cobra.FixedCompletions([]string{"lab"}, cobra.ShellCompDirectiveNoFileComp))
}

// clusterErr says what is wrong with the flags.
func (f *clusterFlags) clusterErr() error {
	if f.cluster != "lab" {
		return usagef("--cluster %s: there is lab", f.cluster)
	}
	return nil
}

// provider makes clusters of the kind that was asked for; labs in a user namespace where the caller is an ordinary user. What it
// opens is closed by closeProvider.
func (f *clusterFlags) provider(ctx context.Context, proxy string, nodes int, tell func(doing string)) (clusters.Provider, error) {
	if err := enterUserNamespace(); err != nil {
		return nil, err
	}
	provider, err := lab.New()
	if err != nil {
		return nil, coded{exitSkipped, err}
	}
	f.bin = provider.Bin
	return provider, opened(ctx, provider)
}

// opened opens a provider. What is missing on this machine is a reason to skip.
func opened(ctx context.Context, provider clusters.Provider) error {
	err := provider.Open(ctx)
	if errors.Is(err, clusters.ErrMissing) {
		return coded{exitSkipped, err}
	}
	return err
}

// closeLimit bounds the end of what a provider has opened.
const closeLimit = 2 * time.Minute

// closeProvider takes away what a provider has opened, also after Ctrl-C.
func closeProvider(ctx context.Context, provider clusters.Provider) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
	defer cancel()
	return provider.Close(ctx)
}
