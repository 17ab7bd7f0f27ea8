package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/schema"
	"github.com/relapse-k8s/relapse/harness/version"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE...", Short: "Check scenario files; every error of a file at once",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			failed := false
			for _, path := range args {
				s, err := scenario.Load(path, catalogue.All())
				if err == nil {
					for _, object := range s.Workload {
						for _, problem := range (&lab.Lab{}).Check([][]byte{object}) {
							failed = true
							fmt.Fprintf(c.ErrOrStderr(), "%s: workload: %v\n", path, problem)
						}
					}
					continue
				}
				failed = true
				fmt.Fprintln(c.ErrOrStderr(), err)
			}
			if failed {
				return coded{exitUsage, nil}
			}
			fmt.Fprintln(c.OutOrStdout(), "no errors")
			return nil
		},
	}
}

func newSchema() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of scenario files", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(schema.JSON())
			return err
		},
	}
}

func newNew() *cobra.Command {
	var folder string
	c := &cobra.Command{
		Use: "new ID", Short: "Write a starting file for a new scenario", Args: exactly(1, "an id: lower case letters, digits and dashes"),
		RunE: func(c *cobra.Command, args []string) error {
			path := filepath.Join(folder, args[0]+".yaml")
			text := scenario.Starter(args[0])
			if _, err := scenario.Parse(path, text, catalogue.All()); err != nil {
				return usage(err)
			}
			file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
			if err != nil {
				return usage(err)
			}
			defer file.Close()
			if _, err := file.Write(text); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is there; edit it, then: relapse validate %[1]s && relapse run %[1]s\n", path)
			return nil
		},
	}
	c.Flags().StringVarP(&folder, "out", "o", ".", "folder for the file")
	return c
}

func newClean() *cobra.Command {
	var dry bool
	c := &cobra.Command{
		Use: "clean", Short: "Undo whatever dead runs left on this machine", Args: exactly(0, "no arguments"),
		Long: "Clean undoes what runs left that were killed together with their guard, ends their processes, and says what it found. Runs that are alive are left alone.",
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := runstate.Clean(c.Context(), c.OutOrStdout(), runstate.CleanOptions{DryRun: dry})
			return err
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
