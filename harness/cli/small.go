package cli

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/schema"
	"github.com/relapse-k8s/relapse/harness/version"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of scenario files", Args: exactly(0, "no arguments"),
		Long: `Schema prints the JSON Schema of scenario files, for editors: a file's first line

  # yaml-language-server: $schema=PATH-OR-URL

makes many of them complete and explain what is typed.`,
		Example: "  relapse schema > scenario.schema.json",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(schema.JSON())
			return err
		},
	}
}

func newClean() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "clean", Short: "Undo whatever dead runs left on this machine", Args: exactly(0, "no arguments"),
		Long: `Clean undoes what runs left that were killed together with their guard, ends
their processes, and says what it found; so it does with kind clusters of such
runs. From clusters that are to stay it takes what such runs left on them. Runs
that are alive are left alone, and run folders too. Each user cleans up after the own runs; root's are root's.

Exit codes: 0, or 1 where something could not be undone.`,
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
	c.Flags().BoolVar(&dry, "dry-run", false, "only say what would be done")
	return c
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(c.OutOrStdout(), "relapse", version.String(), runtime.Version())
			return err
		},
	}
}
