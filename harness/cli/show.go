package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

func newShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show ID|FILE", Short: "Explain a scenario: mechanism, detection, remedies, claims, sources",
		Args: exactly(1, "one scenario: its id, or its file"), ValidArgsFunction: completeIDs,
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := load(args[0])
			if err != nil {
				return err
			}
			if asJSON {
				encoder := json.NewEncoder(c.OutOrStdout())
				encoder.SetIndent("", "  ")
				return encoder.Encode(s)
			}
			(&page{w: c.OutOrStdout(), width: min(width(c.OutOrStdout()), 110)}).scenario(s)
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// page writes wrapped text.
type page struct {
	w     io.Writer
	width int
}

func (p *page) heading(text string) { fmt.Fprintf(p.w, "\n%s\n", strings.ToUpper(text)) }

// text writes a paragraph, every line after the first indented as far as the first one's text.
func (p *page) text(indent, text string) {
	line, hang := indent, strings.Repeat(" ", len([]rune(indent)))
	for _, word := range strings.Fields(text) {
		if len([]rune(line))+1+len([]rune(word)) > p.width && strings.TrimSpace(line) != "" {
			fmt.Fprintln(p.w, strings.TrimRight(line, " "))
			line = hang
		}
		if line != indent && line != hang {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(p.w, line)
}

func (p *page) scenario(s *scenario.Scenario) {
	p.text("", s.Metadata.ID+": "+s.Metadata.Title)
	fmt.Fprintln(p.w)
	p.text("", s.Metadata.Summary)
	p.heading("Variants")
	for _, v := range s.Variants {
		p.text("  ", fmt.Sprintf("%s (%s): %s", v.ID, v.Mechanism, v.Why))
	}
	p.heading("How to see it")
	for _, d := range s.Detection {
		p.text("  ", d.ID+": "+d.Title)
		if d.Command != "" {
			p.text("      $ ", d.Command)
		}
	}
	p.heading("What cures it")
	for _, r := range s.Remedies {
		p.text("  ", r.ID+": "+r.Title)
		if r.Caveat != "" {
			p.text("      but ", r.Caveat)
		}
	}
	if len(s.Controls) > 0 {
		p.heading("Controls")
	}
	for _, c := range s.Controls {
		p.text("  ", fmt.Sprintf("%s: %s (expected: %s)", c.ID, c.Title, c.Expect))
	}
	p.heading("Claims")
	for _, c := range s.Claims {
		var cases []string
		for _, e := range c.Expected {
			if e.Offers != "" {
				e.Result += " where there is " + e.Offers
			}
			cases = append(cases, e.Result)
		}
		p.text("  ", fmt.Sprintf("%s [%s] expected: %s", c.Says, c.Source, strings.Join(cases, ", else ")))
		if c.Note != "" {
			p.text("      ", c.Note)
		}
	}
	p.heading("Sources")
	for _, source := range s.Metadata.Sources {
		text := fmt.Sprintf("[%s] %s", source.ID, source.Title)
		if source.Section != "" {
			text += ", section " + source.Section
		}
		p.text("  ", text+" "+source.URL)
	}
	fmt.Fprintln(p.w)
	p.text("", "Run it: relapse run "+s.Metadata.ID)
}
