package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/schema"
	"github.com/relapse-k8s/relapse/harness/version"
)

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of scenario files", Args: exactly(0, "no arguments"),
		Long: `Schema prints the JSON Schema of scenario files. With this first line in a file,
many editors complete and explain its fields:

  # yaml-language-server: $schema=PATH-OR-URL`,
		Example: "  relapse schema > scenario.schema.json",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(schema.JSON())
			return err
		},
	}
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
