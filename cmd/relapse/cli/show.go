package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

func newShow() *cobra.Command {
	var asJSON, asPlan bool
	var variant, proxy string
	c := &cobra.Command{
		Use: "show ID|FILE", Short: "Describe a scenario, or print the plan of a run",
		Long: `Show describes a scenario: how the failure happens, how to detect it, its
remedies, the claims that are checked, and the sources.

With --plan it prints what a run in the lab would do, and changes nothing: the
nodes and pods of each variant, and for each phase what is changed, waited for,
sampled, expected and undone.`,
		Args: exactly(1, "one scenario: an id or a file"), ValidArgsFunction: completeIDs,
		Example: "  relapse show dns-5s\n  relapse show dns-5s --plan --variant forced",
		RunE: func(c *cobra.Command, args []string) error {
			on := target{}
			if asPlan {
				on.cluster = "lab"
			}
			s, _, err := load(args[0], on)
			if err != nil {
				return err
			}
			p := &page{w: c.OutOrStdout(), width: min(width(c.OutOrStdout()), 110)}
			switch {
			case !asPlan && (variant != "" || c.Flags().Changed("proxy")):
				return usagef("--variant and --proxy need --plan")
			case asPlan && asJSON:
				return usagef("--plan and --json cannot be combined")
			case asPlan:
				if variant != "" {
					err = oneOf("variant", variant, variants(s))
				}
				if err := cmp.Or(err, oneOf("proxy", proxy, proxies)); err != nil {
					return err
				}
				return p.plan(s, variant, proxy)
			case asJSON:
				return printJSON(c.OutOrStdout(), s)
			}
			p.scenario(s, args[0])
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&asPlan, "plan", false, "print what a run would do, without doing it")
	c.Flags().StringVar(&variant, "variant", "", "with --plan: only this `variant`")
	c.Flags().StringVar(&proxy, "proxy", "nftables", "with --plan: kube-proxy mode, nftables or iptables")
	_ = c.RegisterFlagCompletionFunc("variant", completeFrom(variants))
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions(proxies, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// scenario describes a scenario; name is what was typed.
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
	p.heading("Detection")
	for _, d := range s.Detection {
		p.text("  ", d.ID+": "+d.Title+cite(d.Source)+only(d.Variants))
		if d.Command != "" {
			p.verbatim("      $ ", d.Command)
		}
		if d.Expect == scenario.ExpectSilent {
			p.text("      ", "Documented, but expected to stay silent.")
		}
		if len(d.Needs) > 0 {
			p.text("      ", "Judged only if the cluster offers "+strings.Join(d.Needs, ", ")+".")
		}
	}
	p.heading("Remedies")
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
		expect := "the symptom must remain"
		if c.Expect != "symptom" {
			expect = "the symptom must not appear"
		}
		p.text("  ", c.ID+": "+c.Title+cite(c.Source)+only(c.Variants)+": "+expect)
	}
	p.heading("Claims")
	for _, c := range s.Claims {
		p.claim(c)
	}
	if len(s.Differences) > 0 {
		p.heading("Differences between clusters")
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
	name := v.ID
	if v.Mechanism != name {
		name += " (" + v.Mechanism + ")"
	}
	p.text("  ", name+": "+v.Why)
	if v.RepairedBy != "" {
		p.text("      ", "If the cluster offers "+v.RepairedBy+", the fault must take effect and the symptom must be absent.")
	}
	if len(v.Needs) > 0 {
		p.text("      ", "Needs "+strings.Join(v.Needs, ", ")+".")
	}
	if v.Without.Detector != "" {
		p.text("      ", "No detector must fire: "+v.Without.Detector)
	}
	if v.Without.Remedy != "" {
		p.text("      ", "There is no remedy: "+v.Without.Remedy)
	}
	if v.Without.Control != "" {
		p.text("      ", "There is no control: "+v.Without.Control)
	}
	if v.HostChanges {
		p.text("      ", "Changes a setting of the whole machine: runs only with --allow-host-changes.")
	}
}

func (p *page) claim(c scenario.Claim) {
	var cases []string
	for _, e := range c.Expected {
		if e.Offers != "" {
			e.Result += " if the cluster offers " + e.Offers
		}
		cases = append(cases, e.Result)
	}
	p.text("  ", c.ID+": "+c.Says+cite(c.Source))
	p.text("      expected: ", strings.Join(cases, ", otherwise "))
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
	if len(variants) == 1 {
		return " (only in variant " + variants[0] + ")"
	}
	return " (only in variants " + strings.Join(variants, ", ") + ")"
}
