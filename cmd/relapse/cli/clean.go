package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/kind"
)

func newClean() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "clean", Short: "Undo what dead runs left on this machine", Args: exactly(0, "no arguments"),
		Long: `Clean undoes what dead runs left on this machine, and prints what it found. This
is needed only if a run was killed together with its guard.

It undoes their changes, ends their processes, and deletes their kind clusters.
From clusters made with relapse cluster create it removes only what dead runs
left there. Live runs and run folders are not touched. Clean finds the runs of
the user who calls it; for root's runs, call it as root.

Exit codes: 0 on success, 1 if something could not be undone.`,
		RunE: func(c *cobra.Command, _ []string) error {
			found, err := runstate.Clean(c.Context(), c.OutOrStdout(), runstate.CleanOptions{DryRun: dry})
			swept, sweepErr := kind.Sweep(c.Context(), c.OutOrStdout(), dry)
			if err := errors.Join(err, sweepErr); err != nil {
				return coded{exitFail, err}
			}
			if len(found.Dead)+len(found.Orphans)+len(swept.Found)+len(swept.Unknown) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "nothing was left behind")
			}
			return nil
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "only print what would be done")
	return c
}
