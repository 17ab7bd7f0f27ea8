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
		return s, source, nil
	}
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, nil, err
	}
	if !slices.Contains(ids, name) {
		return nil, nil, usage(fmt.Errorf("there is no scenario %q; there are %s, or give a file", name, strings.Join(ids, ", ")))
	}
	source, err := scenarios.Files.ReadFile(name + ".yaml")
	if err != nil {
		return nil, nil, err
	}
	s, err := scenario.LoadFS(scenarios.Files, name+".yaml", catalogue.All())
	return s, source, err
}

// completeIDs completes the ids of scenarios.
func completeIDs(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return ids, cobra.ShellCompDirectiveDefault
}
