package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/scenarios"
)

// listed is a scenario in the list.
type listed struct {
	ID       string          `json:"id"`
	Layer    string          `json:"layer"`
	Title    string          `json:"title"`
	Needs    []string        `json:"needs"`
	Variants []listedVariant `json:"variants"`
	// Runs is whether at least one variant can run here; Why not.
	Runs bool   `json:"runs"`
	Why  string `json:"why,omitempty"`
}

type listedVariant struct {
	ID        string   `json:"id"`
	Mechanism string   `json:"mechanism"`
	Needs     []string `json:"needs"`
	// HostChanges is whether it runs only with --allow-host-changes.
	HostChanges bool   `json:"hostChanges"`
	Runs        bool   `json:"runs"`
	Why         string `json:"why,omitempty"`
}

func newList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the scenarios, and whether they can run here", Args: exactly(0, "no arguments"),
		Long: `List shows every scenario that comes with relapse, its variants, what it needs of
the kernel, and whether this machine gives that. It tries, rather than looks at
version numbers.`,
		RunE: func(c *cobra.Command, _ []string) error {
			offersErr := enterUserNamespace()
			if offersErr != nil && offersErr.Error() == "" {
				return offersErr // it is listed already, from inside
			}
			var offers map[string]clusters.Offer
			if offersErr == nil {
				offers, offersErr = offersHere(c.Context())
			}
			all, err := listAll(offers, offersErr)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), all)
			}
			writeList(&page{w: c.OutOrStdout(), width: width(c.OutOrStdout())}, all)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func writeList(p *page, all []listed) {
	column := 0
	for _, s := range all {
		column = max(column, len(s.ID))
	}
	lead := func(id, layer string) string { return fmt.Sprintf("%-*s  %-7s  ", column, id, layer) }
	for _, s := range all {
		p.text(lead(s.ID, s.Layer), s.Title)
		p.text(lead("", "")+"variants   ", strings.Join(idsOf(s.Variants), ", "))
		p.text(lead("", "")+"needs      ", strings.Join(s.Needs, ", "))
		p.text(lead("", "")+"runs here  ", s.here())
	}
}

// here says whether and with which variants a scenario runs on this machine.
func (s listed) here() string {
	if !s.Runs {
		return "no: " + s.Why
	}
	text := "yes"
	for _, v := range s.Variants {
		switch {
		case !v.Runs:
			text += fmt.Sprintf("; %s does not: %s", v.ID, v.Why)
		case v.HostChanges:
			text += fmt.Sprintf("; %s only with --allow-host-changes", v.ID)
		}
	}
	return text
}

func idsOf(variants []listedVariant) []string {
	var ids []string
	for _, v := range variants {
		ids = append(ids, v.ID)
	}
	return ids
}

// listAll says of each scenario whether it runs where this is offered, or nothing could be found out.
func listAll(offers map[string]clusters.Offer, offersErr error) ([]listed, error) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, err
	}
	var all []listed
	for _, id := range ids {
		s, _, err := load(id)
		if err != nil {
			return nil, err
		}
		l := listed{ID: id, Layer: s.Metadata.Layer, Title: s.Metadata.Title, Needs: orEmpty(s.Needs)}
		for _, v := range s.Variants {
			why := missing(s, v, offers)
			if offersErr != nil {
				why = offersErr.Error()
			}
			l.Variants = append(l.Variants, listedVariant{
				ID: v.ID, Mechanism: v.Mechanism, Needs: orEmpty(v.Needs), HostChanges: v.HostChanges, Runs: why == "", Why: why,
			})
			l.Runs = l.Runs || why == ""
		}
		if !l.Runs {
			l.Why = l.Variants[0].Why
		}
		all = append(all, l)
	}
	return all, nil
}

// orEmpty makes a list of nothing a list in JSON.
func orEmpty(list []string) []string { return append([]string{}, list...) }

// offersHere asks the lab.
func offersHere(ctx context.Context) (map[string]clusters.Offer, error) {
	l, err := lab.New()
	if err != nil {
		return nil, err
	}
	return l.Offers(ctx)
}

// missing says what a variant needs that is not offered.
func missing(s *scenario.Scenario, v scenario.Variant, offers map[string]clusters.Offer) string {
	var reasons []string
	for _, need := range s.NeedsOf(&v) {
		if offer := offers[need]; !offer.OK {
			reasons = append(reasons, fmt.Sprintf("%s is not offered (%s)", need, offer.Why))
		}
	}
	return strings.Join(reasons, "; ")
}
