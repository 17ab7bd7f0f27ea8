package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/scenarios"
)

// load finds a scenario by its id, or by the path of its file.
func load(name string) (*scenario.Scenario, []byte, error) {
	if strings.HasSuffix(name, ".yaml") || strings.ContainsRune(name, filepath.Separator) {
		source, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, usage(err)
		}
		s, err := scenario.Load(name, catalogue.All())
		if err != nil {
			return nil, nil, usage(err)
		}
		if problems := objectErrors(s, name); len(problems) > 0 {
			return nil, nil, usage(problems)
		}
		return s, source, nil
	}
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(ids, name) {
		return nil, nil, usage(unknownID(name, ids))
	}
	source, err := scenarios.Files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, nil, err
	}
	s, err := scenario.LoadFS(scenarios.Files, name+".yaml", catalogue.All())
	return s, source, err
}

// unknownID says what was probably meant, or else what there is.
func unknownID(name string, ids []string) error {
	// Cobra knows how to guess, but only among commands.
	guess := &cobra.Command{SuggestionsMinimumDistance: 3}
	for _, id := range ids {
		guess.AddCommand(&cobra.Command{Use: id, Run: func(*cobra.Command, []string) {}})
	}
	if meant := guess.SuggestionsFor(name); len(meant) > 0 {
		return fmt.Errorf("there is no scenario %q: did you mean %s?", name, strings.Join(meant, " or "))
	}
	return fmt.Errorf("there is no scenario %q; there are %s, or give a file", name, strings.Join(ids, ", "))
}

// completeIDs completes the ids of scenarios.
func completeIDs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ids, cobra.ShellCompDirectiveDefault
}

// variants lists the ids of the variants of a scenario.
func variants(s *scenario.Scenario) []string {
	var ids []string
	for _, v := range s.Variants {
		ids = append(ids, v.ID)
	}
	return ids
}

// completeFrom completes what the scenario that is already on the command line has.
func completeFrom(list func(*scenario.Scenario) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s, _, err := load(args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(s), cobra.ShellCompDirectiveNoFileComp
	}
}
