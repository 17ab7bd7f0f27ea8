package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/scenarios"
)

// listed is a scenario in the list.
type listed struct {
	ID       string   `json:"id"`
	Layer    string   `json:"layer"`
	Title    string   `json:"title"`
	Needs    []string `json:"needs"`
	Variants []string `json:"variants"`
	// Runs is yes, or what is missing.
	Runs string `json:"runs"`
}

func newList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the scenarios, and whether they can run here", Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := enterUserNamespace(c.Context()); err != nil {
				return err
			}
			all, err := listAll(c.Context())
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(all)
			}
			table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "ID\tLAYER\tVARIANTS\tNEEDS\tRUNS HERE")
			for _, s := range all {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Layer, strings.Join(s.Variants, ", "), strings.Join(s.Needs, ", "), s.Runs)
			}
			return table.Flush()
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func listAll(ctx context.Context) ([]listed, error) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, err
	}
	offers, offersErr := offersHere(ctx)
	var all []listed
	for _, id := range ids {
		s, _, err := load(id)
		if err != nil {
			return nil, err
		}
		l := listed{ID: id, Layer: s.Metadata.Layer, Title: s.Metadata.Title, Needs: s.Needs, Runs: "yes"}
		for _, v := range s.Variants {
			l.Variants = append(l.Variants, v.ID)
		}
		if missing := missing(s, offers); len(missing) > 0 {
			l.Runs = "no: " + strings.Join(missing, "; ")
		}
		if offersErr != nil {
			l.Runs = "no: " + offersErr.Error()
		}
		all = append(all, l)
	}
	return all, nil
}

// offersHere asks the lab.
func offersHere(ctx context.Context) (map[string]clusters.Offer, error) {
	l, err := lab.New()
	if err != nil {
		return nil, err
	}
	return l.Offers(ctx)
}

// missing lists the needs of a scenario that are not offered here.
func missing(s *scenario.Scenario, offers map[string]clusters.Offer) []string {
	var names []string
	for _, need := range s.Needs {
		if !offers[need].OK && !slices.Contains(names, need) {
			names = append(names, need)
		}
	}
	return names
}
