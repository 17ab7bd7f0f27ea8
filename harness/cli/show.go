package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

func newShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show ID|FILE", Short: "Explain a scenario: mechanism, detection, remedies, claims, sources",
		Args: exactly(1, "one scenario: its id, or its file"), ValidArgsFunction: completeIDs,
		Example: "  relapse show dns-5s",
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := load(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c.OutOrStdout(), s)
			}
			(&page{w: c.OutOrStdout(), width: min(width(c.OutOrStdout()), 110)}).scenario(s, args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
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
