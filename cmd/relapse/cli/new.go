package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	loader "github.com/relapse-k8s/relapse/harness/scenario/load"
)

// Where an editor finds the schema. In the project's own scenarios folder it is the file beside it, which has what was just added.
const (
	schemaOnline = "https://raw.githubusercontent.com/relapse-k8s/relapse/main/harness/schema/scenario.v1alpha1.json"
	schemaBeside = "../harness/schema/scenario.v1alpha1.json"
)

func newNew() *cobra.Command {
	var folder string
	c := &cobra.Command{
		Use: "new ID", Short: "Create a scenario file to start from",
		Long: `New writes ID.yaml: a scenario that can be run as it is, with comments that explain
each part. It never overwrites a file.`,
		Example: "  relapse new my-failure && relapse run my-failure.yaml",
		Args:    exactly(1, "one id: lower case letters, digits and dashes"),
		RunE: func(c *cobra.Command, args []string) error {
			path := filepath.Join(folder, args[0]+".yaml")
			text := scenario.Starter(args[0])
			if _, err := loader.Parse(path, text, catalogue.All()); err != nil {
				return usagef("invalid id %q: must be lower case letters, digits and dashes, such as my-failure", args[0])
			}
			if _, err := os.Stat(filepath.Join(folder, schemaBeside)); err == nil {
				text = bytes.Replace(text, []byte(schemaOnline), []byte(schemaBeside), 1)
			}
			err := create(path, text)
			if errors.Is(err, os.ErrExist) {
				return usagef("%s already exists, and is not overwritten", path)
			}
			if err != nil {
				return usage(err)
			}
			fmt.Fprintf(c.OutOrStdout(), "Wrote %s. Edit it, then:\n  relapse validate %[1]s\n  relapse run %[1]s\n", path)
			return nil
		},
	}
	c.Flags().StringVarP(&folder, "out", "o", ".", "`folder` for the file")
	return c
}

func create(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
