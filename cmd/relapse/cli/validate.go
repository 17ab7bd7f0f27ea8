package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	loader "github.com/relapse-k8s/relapse/harness/scenario/load"
)

func newValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate FILE...", Short: "Check scenario files, and print every error",
		Long: `Validate checks scenario files: their syntax, the names they refer to, and that the
lab supports their Kubernetes objects. It prints all errors, one a line, in the
form that editors and CI systems read:

  FILE:LINE:COLUMN: FIELD: what is wrong

Exit codes: 0 on success, 2 if there is an error.`,
		Example: "  relapse validate scenarios/*.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("relapse validate takes one or more files; see relapse validate --help")
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

// validate prints all errors of a file, and returns whether there are none.
func validate(errs io.Writer, path string) bool {
	text, err := loader.Read(path)
	var s *scenario.Scenario
	if err == nil {
		s, err = loader.Named(path, text, catalogue.All())
	}
	if err != nil {
		var inText loader.Errors
		if !errors.As(err, &inText) {
			err = fmt.Errorf("relapse: %w", err)
		}
		if file := fileOf(path); file != "" && errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: did you mean %s?", err, file)
		}
		fmt.Fprintln(errs, err)
		if s, _ = loader.Parse(path, text, catalogue.All()); s == nil { // the name of the file may be all that is wrong
			return false
		}
	}
	problems := objectErrors(s, path, text)
	for _, e := range problems {
		fmt.Fprintln(errs, e)
	}
	return err == nil && len(problems) == 0
}

// objectErrors returns what the lab does not support in a scenario's objects, with the lines of its file.
func objectErrors(s *scenario.Scenario, path string, text []byte) loader.Errors {
	var file yaml.Node
	_ = yaml.Unmarshal(text, &file)
	var all loader.Errors
	said := map[string]bool{} // an error in the scenario's own workload is found once for each variant
	for _, objects := range s.Objects() {
		problems := (&lab.Lab{}).Check(objects.JSON)
		if len(problems) == 0 {
			continue
		}
		of := objectOf(objects)
		for _, problem := range problems {
			message := problem.Error()
			if said[message] {
				continue
			}
			said[message] = true
			e := loader.Error{File: path, Line: 1, Col: 1, Path: of(message), Message: message}
			n := find(&file, e.Path+"."+fieldOf(message))
			if n == nil {
				n = find(&file, e.Path)
			}
			if n != nil {
				e.Line, e.Col = n.Line, n.Column
			}
			all = append(all, e)
		}
	}
	return all
}

// objectOf returns a function that finds the path of the object that has a problem on its own, or of the first object if none has.
func objectOf(objects scenario.Objects) func(problem string) string {
	paths := map[string]string{}
	for i, object := range objects.JSON {
		for _, problem := range (&lab.Lab{}).Check([][]byte{object}) {
			paths[problem.Error()] = objects.Paths[i]
		}
	}
	return func(problem string) string { return cmp.Or(paths[problem], objects.Paths[0]) }
}

// fieldOf is the field that a problem names, as in: Service web: spec.type: the lab has only ClusterIP.
func fieldOf(problem string) string {
	_, rest, _ := strings.Cut(problem, ": ")
	field, _, _ := strings.Cut(rest, ": ")
	return field
}

// find returns the node at a path such as workload[0].metadata, or nil.
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
