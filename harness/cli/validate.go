package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE...", Short: "Check scenario files; every error of a file at once",
		Long: `Validate checks scenario files: their form, that all they name is there, and that
the lab understands their workload. Every error is a line of its own,

  FILE:LINE:COLUMN: FIELD: what is wrong

as editors and continuous integration read it. Exit codes: 0, or 2 where there
is an error.`,
		Example: "  relapse validate scenarios/*.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("relapse validate wants one file or more; see relapse validate --help")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			bad := 0
			for _, path := range args {
				if !validate(c.ErrOrStderr(), path) {
					bad++
				}
			}
			if bad > 0 {
				return coded{exitUsage, nil}
			}
			for _, path := range args {
				fmt.Fprintf(c.OutOrStdout(), "%s: no errors\n", path)
			}
			return nil
		},
	}
}

// validate tells of all errors of a file, and whether there are none.
func validate(errs io.Writer, path string) bool {
	s, err := scenario.Load(path, catalogue.All())
	if err != nil {
		var inText scenario.Errors
		if !errors.As(err, &inText) {
			err = fmt.Errorf("relapse: %w", err)
		}
		fmt.Fprintln(errs, err)
		return false
	}
	at := positions(path)
	good := true
	for i, object := range s.Workload {
		for _, problem := range (&lab.Lab{}).Check([][]byte{object}) {
			good = false
			e := scenario.Error{File: path, Line: 1, Col: 1, Path: fmt.Sprintf("workload[%d]", i), Message: problem.Error()}
			if i < len(at) {
				e.Line, e.Col = at[i].Line, at[i].Column
			}
			fmt.Fprintln(errs, e)
		}
	}
	return good
}

// positions finds where each object of the workload stands. The file has been read without errors before.
func positions(path string) []*yaml.Node {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var file struct {
		Workload []yaml.Node `yaml:"workload"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil
	}
	var nodes []*yaml.Node
	for i := range file.Workload {
		nodes = append(nodes, &file.Workload[i])
	}
	return nodes
}
