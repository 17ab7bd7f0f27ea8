package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

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
the lab understands their objects. Every error is a line of its own,

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
	problems := objectErrors(s, path)
	for _, e := range problems {
		fmt.Fprintln(errs, e)
	}
	return len(problems) == 0
}

// objectErrors says what the lab does not understand of a scenario's objects, with the lines of its file.
func objectErrors(s *scenario.Scenario, path string) scenario.Errors {
	text, _ := os.ReadFile(path) // it has been read without errors before
	var file yaml.Node
	_ = yaml.Unmarshal(text, &file)
	var all scenario.Errors
	said := map[string]bool{} // what is wrong with the scenario's own workload is so for each variant
	for _, objects := range s.Objects() {
		for _, problem := range (&lab.Lab{}).Check(objects.JSON) {
			if said[problem.Error()] {
				continue
			}
			said[problem.Error()] = true
			e := scenario.Error{File: path, Line: 1, Col: 1, Path: pathOf(objects, problem), Message: problem.Error()}
			if n := find(&file, e.Path); n != nil {
				e.Line, e.Col = n.Line, n.Column
			}
			all = append(all, e)
		}
	}
	return all
}

// pathOf returns the path of the object that has a problem by itself, or of the first one where they have it together.
func pathOf(objects scenario.Objects, problem error) string {
	for i, object := range objects.JSON {
		alone := (&lab.Lab{}).Check([][]byte{object})
		if slices.ContainsFunc(alone, func(err error) bool { return err.Error() == problem.Error() }) {
			return objects.Paths[i]
		}
	}
	return objects.Paths[0]
}

// find returns what stands at a path such as workload[0].metadata, or nil.
func find(n *yaml.Node, path string) *yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		var next *yaml.Node
		switch n.Kind {
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
				next = n.Content[i]
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next = n.Content[i+1]
				}
			}
		}
		if next == nil {
			return nil
		}
		n = next
	}
	return n
}
