package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/scenario"
	loader "github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
	"github.com/relapse-k8s/relapse/scenarios"
)

// load returns a scenario and its source. The name is an id that is compiled in, or the path of a file, whose objects are checked for the
// clusters on which it is to run.
func load(name string, on target) (*scenario.Scenario, []byte, error) {
	if strings.HasSuffix(name, ".yaml") || strings.ContainsRune(name, filepath.Separator) {
		source, err := loader.Read(name)
		if err != nil {
			return nil, nil, usage(err)
		}
		s, err := loader.Named(name, source, catalogue.All()) // read once: what is checked is what is run and kept
		if err != nil {
			return nil, nil, usage(err)
		}
		if problems := on.objectErrors(s, name, source); len(problems) > 0 {
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
	s, err := loader.Named(name+".yaml", source, catalogue.All())
	return s, source, err
}

// unknownID says which scenario was probably meant, or lists all of them. Scenarios are compiled in: a file that was added since,
// or is somewhere else, can only be run by its path.
func unknownID(name string, ids []string) error {
	if path := fileOf(name); path != "" {
		return fmt.Errorf("unknown scenario %q: scenarios are compiled in, and this one is not. Give the path of its file: %s", name, path)
	}
	if meant := suggest.Meant(name, ids); meant != "" {
		return fmt.Errorf("unknown scenario %q: did you mean %s?", name, meant)
	}
	return fmt.Errorf("unknown scenario %q: must be the path of a file, such as ./%[1]s.yaml, or one of\n  %s", name, strings.Join(ids, "\n  "))
}

// fileOf returns the path of a scenario's file here, if there is one.
func fileOf(name string) string {
	for _, path := range []string{name + ".yaml", filepath.Join("scenarios", name+".yaml")} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// completeIDs completes the ids of scenarios.
func completeIDs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ids, cobra.ShellCompDirectiveDefault
}

// variants returns the ids of a scenario's variants.
func variants(s *scenario.Scenario) []string {
	var ids []string
	for _, v := range s.Variants {
		ids = append(ids, v.ID)
	}
	return ids
}

// completeFrom completes a list of the scenario that is already on the command line.
func completeFrom(list func(*scenario.Scenario) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		s, _, err := load(args[0], target{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return list(s), cobra.ShellCompDirectiveNoFileComp
	}
}
