package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/session"
	"github.com/relapse-k8s/relapse/reports"
)

func newJudge() *cobra.Command {
	var write bool
	c := &cobra.Command{
		Use:   "judge RUN",
		Short: "Judge a run folder again, from what is on disk",
		Long:  "Judge reads run.json, scenario.yaml and history.jsonl of a run folder, also of a run that crashed, and judges them anew.\n\n" + exitCodes,
		Args:  exactly(1, "one run folder"),
		RunE: func(c *cobra.Command, args []string) error {
			_, verdict, err := session.Judge(args[0], catalogue.All())
			if err != nil {
				return usage(err)
			}
			var stored judge.Verdict
			err = rundir.ReadJSON(args[0], rundir.VerdictFile, &stored)
			switch {
			case errors.Is(err, os.ErrNotExist):
				fmt.Fprintln(c.OutOrStdout(), "the folder has no verdict: the run crashed")
			case err != nil:
				return err
			case !reflect.DeepEqual(stored, verdict):
				fmt.Fprintf(c.OutOrStdout(), "the stored verdict differs: %s: %s\n", stored.Outcome, stored.Reason)
			}
			if write {
				if _, err := session.Conclude(args[0], catalogue.All()); err != nil {
					return err
				}
			}
			data, err := reportData(args[0])
			if err != nil {
				return err
			}
			data.Verdict, data.Crashed = verdict, false
			if err := reports.Terminal(c.OutOrStdout(), data, width(c.OutOrStdout()), isTerminal(c.OutOrStdout())); err != nil {
				return err
			}
			return byOutcome(verdict.Outcome)
		},
	}
	c.Flags().BoolVar(&write, "write", false, "write the new verdict and the reports into the folder")
	return c
}

func newReport() *cobra.Command {
	return &cobra.Command{
		Use: "report RUN", Short: "Write report.html and junit.xml of a run folder again", Args: exactly(1, "one run folder"),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := reportData(args[0])
			if err != nil {
				return usage(err)
			}
			if err := reports.Write(args[0], data); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), filepath.Join(args[0], rundir.ReportFile))
			return nil
		},
	}
}

// reportData reads a run folder for the reports.
func reportData(dir string) (reports.Data, error) {
	s, _, err := session.Judge(dir, catalogue.All())
	if err != nil {
		return reports.Data{}, err
	}
	return reports.FromDir(dir, s)
}
