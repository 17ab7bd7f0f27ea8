package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

func newShow() *cobra.Command {
	var asJSON, asPlan bool
	var variant, proxy string
	c := &cobra.Command{
		Use: "show ID|FILE", Short: "Explain a scenario: mechanism, detection, remedies, claims, sources",
		Long: `Show explains a scenario. With --plan it says what a run would do, and does
nothing: what each lab is made of, and for each phase what is changed, waited
for, sampled, expected, and undone.`,
		Args: exactly(1, "one scenario: its id, or its file"), ValidArgsFunction: completeIDs,
		Example: "  relapse show dns-5s\n  relapse show dns-5s --plan --variant forced",
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := load(args[0])
			if err != nil {
				return err
			}
			p := &page{w: c.OutOrStdout(), width: min(width(c.OutOrStdout()), 110)}
			switch {
			case !asPlan && (variant != "" || c.Flags().Changed("proxy")):
				return usagef("--variant and --proxy go with --plan")
			case asPlan && asJSON:
				return usagef("--plan is for people: it cannot be had with --json")
			case asPlan && variant != "" && !slices.Contains(variants(s), variant):
				return usagef("--variant %s: the variants of %s are %s", variant, s.Metadata.ID, strings.Join(variants(s), ", "))
			case asPlan && proxy != "nftables" && proxy != "iptables":
				return usagef("--proxy %s: there are nftables and iptables", proxy)
			case asPlan:
				return p.plan(s, variant, proxy)
			case asJSON:
				return printJSON(c.OutOrStdout(), s)
			}
			p.scenario(s, args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&asPlan, "plan", false, "say what a run would do, and do nothing")
	c.Flags().StringVar(&variant, "variant", "", "plan only this `variant`")
	c.Flags().StringVar(&proxy, "proxy", "nftables", "kube-proxy's mode in the plan: nftables or iptables")
	_ = c.RegisterFlagCompletionFunc("variant", completeFrom(variants))
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions([]string{"nftables", "iptables"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// scenario explains everything that a person may want to know before a run; name is what was typed.
func (p *page) scenario(s *scenario.Scenario, name string) {
	p.text("", s.Metadata.ID+": "+s.Metadata.Title)
	facts := []string{"layer " + s.Metadata.Layer, fmt.Sprintf("nodes: %d", s.Topology.Nodes)}
	if len(s.Needs) > 0 {
		facts = append(facts, "needs "+strings.Join(s.Needs, ", "))
	}
	p.text("", strings.Join(facts, "; "))
	fmt.Fprintln(p.w)
	p.text("", s.Metadata.Summary)
	p.heading("Variants")
	for _, v := range s.Variants {
		p.variant(v)
	}
	p.heading("Probes")
	for _, probe := range s.Probes {
		p.text("  ", fmt.Sprintf("%s: %s from %s, %d attempts in each phase, one every %s", probe.ID, probe.Use.Name, probe.From, probe.Attempts, probe.Every))
	}
	p.heading("How to see it")
	for _, d := range s.Detection {
		p.text("  ", d.ID+": "+d.Title+cite(d.Source)+only(d.Variants))
		if d.Command != "" {
			p.verbatim("      $ ", d.Command)
		}
		if d.Expect == scenario.ExpectSilent {
			p.text("      ", "Not expected to see it, though it is documented to.")
		}
		if len(d.Needs) > 0 {
			p.text("      ", "Judged only where there is "+strings.Join(d.Needs, ", ")+".")
		}
	}
	p.heading("What cures it")
	for _, r := range s.Remedies {
		p.text("  ", r.ID+": "+r.Title+cite(r.Source)+only(r.Variants))
		if r.Caveat != "" {
			p.text("      but: ", r.Caveat)
		}
	}
	if len(s.Controls) > 0 {
		p.heading("Controls")
	}
	for _, c := range s.Controls {
		expect := "the symptom must stay"
		if c.Expect != "symptom" {
			expect = "the failure must not appear"
		}
		p.text("  ", c.ID+": "+c.Title+cite(c.Source)+only(c.Variants)+": "+expect)
	}
	p.heading("Claims")
	for _, c := range s.Claims {
		p.claim(c)
	}
	if len(s.Differences) > 0 {
		p.heading("Where clusters differ")
	}
	for _, d := range s.Differences {
		var sides []string
		for _, side := range d.On {
			sides = append(sides, side.String())
		}
		p.text("  ", d.Subject.String()+": "+strings.Join(sides, ", "))
		p.text("      ", d.Why)
	}
	p.heading("Sources")
	for _, source := range s.Metadata.Sources {
		text := source.Title
		if source.Section != "" {
			text += ", section " + source.Section
		}
		p.text("  ", fmt.Sprintf("[%s] %s", source.ID, text))
		if source.URL != "" {
			p.verbatim("      ", source.URL)
		}
	}
	fmt.Fprintln(p.w)
	p.verbatim("", "Run it: relapse run "+name)
}

func (p *page) variant(v scenario.Variant) {
	p.text("  ", fmt.Sprintf("%s (%s): %s", v.ID, v.Mechanism, v.Why))
	if v.RepairedBy != "" {
		p.text("      ", "Where there is "+v.RepairedBy+", the fault must be in effect and the symptom absent.")
	}
	if len(v.Needs) > 0 {
		p.text("      ", "Needs "+strings.Join(v.Needs, ", ")+".")
	}
	if v.HostChanges {
		p.text("      ", "It alters a setting of the whole machine, and runs only with --allow-host-changes.")
	}
}

func (p *page) claim(c scenario.Claim) {
	var cases []string
	for _, e := range c.Expected {
		if e.Offers != "" {
			e.Result += " where there is " + e.Offers
		}
		cases = append(cases, e.Result)
	}
	p.text("  ", c.ID+": "+c.Says+cite(c.Source))
	p.text("      expected: ", strings.Join(cases, ", else "))
	if c.Note != "" {
		p.text("      ", c.Note)
	}
}

// cite names a source.
func cite(source string) string {
	if source == "" {
		return ""
	}
	return " [" + source + "]"
}

// only names the variants that something is limited to.
func only(variants []string) string {
	if len(variants) == 0 {
		return ""
	}
	return " (" + strings.Join(variants, ", ") + " only)"
}
