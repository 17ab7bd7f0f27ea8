package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/offers"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
	"github.com/relapse-k8s/relapse/scenarios"
)

// listed is one scenario of the list.
type listed struct {
	ID       string          `json:"id"`
	Layer    string          `json:"layer"`
	Title    string          `json:"title"`
	Needs    []string        `json:"needs"`
	Variants []listedVariant `json:"variants"`
	summary  string
	// Runs is whether at least one variant can run here. If not, Why says what is missing.
	Runs bool   `json:"runs"`
	Why  string `json:"why,omitempty"`
}

type listedVariant struct {
	ID        string   `json:"id"`
	Mechanism string   `json:"mechanism"`
	Needs     []string `json:"needs"`
	// HostChanges is whether it needs --allow-host-changes.
	HostChanges bool   `json:"hostChanges"`
	Runs        bool   `json:"runs"`
	Why         string `json:"why,omitempty"`
	// missing are the needs that are not offered.
	missing []string
}

func newList() *cobra.Command {
	var asJSON bool
	var symptom string
	c := &cobra.Command{
		Use: "list", Short: "List scenarios, and whether they can run here", Args: exactly(0, "no arguments"),
		Long: `List prints the scenarios that are compiled into relapse, with their variants,
what each one needs, and whether a lab on this machine offers it. Features are
tested by using them, not by version numbers. With --symptom it prints those that
may be what you see, the likeliest first.`,
		Example: `  relapse list --symptom "lookups time out after 5s"
  relapse list --json`,
		RunE: func(c *cobra.Command, _ []string) error {
			offersErr := enterUserNamespace()
			if offersErr != nil && offersErr.Error() == "" {
				return offersErr // the process inside the user namespace has printed the list
			}
			var offers map[string]offers.Offer
			if offersErr == nil {
				offers, offersErr = offersHere(c.Context())
			}
			all, err := listAll(offers, offersErr)
			if err != nil {
				return err
			}
			if c.Flags().Changed("symptom") {
				if all = likely(all, symptom); len(all) == 0 {
					return usagef("no scenario has a word of %q: relapse list lists all", symptom)
				}
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), all)
			}
			writeList(&page{w: c.OutOrStdout(), width: width(c.OutOrStdout())}, all, offersErr)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&symptom, "symptom", "", "only scenarios that may be what you see, in `words`")
	return c
}

// likely are the scenarios that a symptom fits, best first.
func likely(all []listed, symptom string) []listed {
	var texts [][]suggest.Field
	for _, s := range all {
		texts = append(texts, []suggest.Field{{Text: s.ID + " " + s.Title, Weight: 3}, {Text: s.summary, Weight: 1}})
	}
	var found []listed
	for _, i := range suggest.Rank(symptom, texts) {
		found = append(found, all[i])
	}
	return found
}

// writeList prints the scenarios. If none can run, the reason is the same for all.
func writeList(p *page, all []listed, offersErr error) {
	column := 0
	for _, s := range all {
		column = max(column, len(s.ID))
	}
	lead := func(id, layer string) string { return fmt.Sprintf("%-*s  %-7s  ", column, id, layer) }
	for _, s := range all {
		p.text(lead(s.ID, s.Layer), s.Title)
		p.text(lead("", "")+"variants   ", strings.Join(idsOf(s.Variants), ", "))
		p.text(lead("", "")+"needs      ", strings.Join(s.Needs, ", "))
		if offersErr == nil {
			p.text(lead("", "")+"runs here  ", s.here())
		}
	}
	if offersErr != nil {
		p.text("", "None runs here: "+offersErr.Error())
	}
}

// here says whether a scenario can run on this machine, and which variants cannot.
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

// listAll says for each scenario whether it can run with these offers. If they could not be found out, none can.
func listAll(offers map[string]offers.Offer, offersErr error) ([]listed, error) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, err
	}
	var all []listed
	for _, id := range ids {
		s, _, err := load(id, target{})
		if err != nil {
			return nil, err
		}
		l := listed{ID: id, Layer: s.Metadata.Layer, Title: s.Metadata.Title, summary: s.Metadata.Summary + " " + strings.Join(s.Metadata.Labels, " "), Needs: orEmpty(s.Needs)}
		for _, v := range s.Variants {
			names, why := missing(s, v, offers)
			if offersErr != nil {
				why = offersErr.Error()
			}
			l.Variants = append(l.Variants, listedVariant{
				ID: v.ID, Mechanism: v.Mechanism, Needs: orEmpty(v.Needs), HostChanges: v.HostChanges, Runs: why == "", Why: why, missing: names,
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

// orEmpty makes a nil list an empty one, so that JSON has [] and not null.
func orEmpty(list []string) []string { return append([]string{}, list...) }

// offersHere returns what a lab on this machine offers, if it can run in the usual mode of kube-proxy.
func offersHere(ctx context.Context) (map[string]offers.Offer, error) {
	l, err := lab.New()
	if err = cmp.Or(err, lab.Missing(proxies[0])); err != nil {
		return nil, err
	}
	return l.Offers(ctx)
}

// missing returns what a variant needs and the cluster does not offer, and why it does not.
func missing(s *scenario.Scenario, v scenario.Variant, offers map[string]offers.Offer) (names []string, why string) {
	var reasons []string
	for _, need := range s.NeedsOf(&v) {
		if offer := offers[need]; !offer.OK {
			names = append(names, need)
			reasons = append(reasons, fmt.Sprintf("%s is not offered (%s)", need, offer.Why))
		}
	}
	return names, strings.Join(reasons, "; ")
}
