package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	loader "github.com/relapse-k8s/relapse/harness/scenario/load"
)

func newValidate() *cobra.Command {
	var on target
	c := &cobra.Command{
		Use: "validate FILE...", Short: "Check scenario files, and print every error",
		Long: `Validate checks scenario files: their syntax, the names they refer to, and that the
lab supports their Kubernetes objects. It prints all errors, one a line, in the
form that editors and CI systems read:

  FILE:LINE:COLUMN: FIELD: what is wrong

Exit codes: 0 on success, 2 if there is an error.`,
		Example: "  relapse validate scenarios/*.yaml\n  relapse validate --cluster kind my-failure.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("relapse validate takes one or more files; see relapse validate --help")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if on.cluster != "" {
				if err := oneOf("cluster", on.cluster, []string{"lab", "kind"}); err != nil {
					return err
				}
			}
			var valid []string
			for _, path := range args {
				if s := validate(c.ErrOrStderr(), path, on); s != nil {
					valid = append(valid, fmt.Sprintf("%s: no errors, for %s", path, strings.Join(on.supports(s), " and ")))
				}
			}
			if len(valid) < len(args) {
				return coded{exitUsage, nil}
			}
			fmt.Fprintln(c.OutOrStdout(), strings.Join(valid, "\n"))
			return nil
		},
	}
	c.Flags().StringVar(&on.cluster, "cluster", "", "check for this kind of cluster: lab or kind\n(default: both)")
	c.Flags().BoolVar(&on.anyObject, "allow-any-object", false, "allow objects that could hurt this machine on kind")
	_ = c.RegisterFlagCompletionFunc("cluster", cobra.FixedCompletions([]string{"lab", "kind"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// validate prints all errors of a file, and returns the scenario if there are none.
func validate(errs io.Writer, path string, on target) *scenario.Scenario {
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
			return nil
		}
	}
	problems := on.objectErrors(s, path, text)
	for _, e := range problems {
		fmt.Fprintln(errs, e)
	}
	if err != nil || len(problems) > 0 {
		return nil
	}
	return s
}
