package cli

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/reports"
)

func newMatrix() *cobra.Command {
	var asJSON bool
	var html string
	c := &cobra.Command{
		Use: "matrix", Short: "Show which detector sees which failure", Args: exactly(0, "no arguments"),
		Long: `Matrix runs every detector of the scenarios on the recorded failures of all of
them, and prints how many of its own failures each one sees (recall), how many of
the failures on which it fires are its own (precision), and the others.

Exit codes: 0 if each detector sees its failure and every overlap is explained,
1 if not.`,
		Example: `  relapse matrix
  relapse matrix --html matrix.html
  relapse matrix --json | jq '.detectors[] | select(.precision < 1) | .detector'`,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := catalogue.Matrix()
			if err != nil {
				return err
			}
			if html != "" {
				page, err := reports.MatrixHTML(m)
				if err != nil {
					return err
				}
				if err := os.WriteFile(html, page, 0o644); err != nil {
					return err
				}
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), m)
			} else {
				err = reports.MatrixTerminal(c.OutOrStdout(), m, width(c.OutOrStdout()), colored(c.OutOrStdout()))
			}
			if err == nil && len(m.Wrong()) > 0 {
				return byOutcome(judge.Fail)
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&html, "html", "", "also write a page to this `file`")
	return c
}
