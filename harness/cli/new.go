package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Where an editor finds the schema: in the project's own folder scenarios beside it, so that it knows what was just added.
const (
	schemaOnline = "https://raw.githubusercontent.com/relapse-k8s/relapse/main/harness/schema/scenario.v1alpha1.json"
	schemaBeside = "../harness/schema/scenario.v1alpha1.json"
)

func newNew() *cobra.Command {
	var folder string
	c := &cobra.Command{
		Use: "new ID", Short: "Write a starting file for a new scenario",
		Long: `New writes ID.yaml: a scenario that works as it stands, with comments that explain
each part. It never overwrites a file.`,
		Example: "  relapse new my-failure && relapse run my-failure.yaml",
		Args:    exactly(1, "an id: lower case letters, digits and dashes"),
		RunE: func(c *cobra.Command, args []string) error {
			path := filepath.Join(folder, args[0]+".yaml")
			text := scenario.Starter(args[0])
			if _, err := scenario.Parse(path, text, catalogue.All()); err != nil {
				return usagef("%q is no id for a scenario: lower case letters, digits and dashes", args[0])
			}
			if _, err := os.Stat(filepath.Join(folder, schemaBeside)); err == nil {
				text = bytes.Replace(text, []byte(schemaOnline), []byte(schemaBeside), 1)
			}
			err := create(path, text)
			if errors.Is(err, os.ErrExist) {
				return usagef("%s is there already, and is not overwritten", path)
			}
			if err != nil {
				return usage(err)
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is written. Edit it, and then:\n  relapse validate %[1]s\n  relapse run %[1]s\n", path)
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
