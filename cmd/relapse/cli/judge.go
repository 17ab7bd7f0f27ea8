package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/reports"
)

func newJudge() *cobra.Command {
	var write bool
	c := &cobra.Command{
		Use:   "judge RUN",
		Short: "Judge a run folder again",
		Long: `Judge reads run.json, scenario.yaml and history.jsonl of a run folder and judges
the run again. It says if the verdict differs from the one in the folder. The
folder of a run that crashed can be judged, too.

Nothing is written without --write. With it, a comparison made by --agree-with is
also repeated, if the other run folder still exists.

` + exitCodes,
		Example: "  relapse judge runs/latest/dns-5s",
		Args:    exactly(1, "one run folder"),
		RunE: func(c *cobra.Command, args []string) error {
			_, verdict, err := session.Judge(args[0], catalogue.All())
			if err != nil {
				return usage(err)
			}
			note, err := differs(args[0], verdict)
			if err != nil {
				return err
			}
			if note != "" {
				fmt.Fprintf(c.OutOrStdout(), "%s\n\n", note)
			}
			if write {
				if _, err := session.Conclude(args[0], catalogue.All()); err != nil {
					return err
				}
				if err := session.RenewAgreement(args[0], catalogue.All()); err != nil {
					fmt.Fprintf(c.OutOrStdout(), "%v\n\n", err)
				}
			}
			data, err := session.Data(args[0], catalogue.All())
			if err != nil {
				return err
			}
			data.Verdict, data.Crashed = verdict, false
			if err := reports.Terminal(c.OutOrStdout(), data, width(c.OutOrStdout()), colored(c.OutOrStdout())); err != nil {
				return err
			}
			return byOutcome(verdict.Outcome)
		},
	}
	c.Flags().BoolVar(&write, "write", false, "write the new verdict and the reports into the folder")
	return c
}

// differs says how a new verdict differs from the stored one.
func differs(dir string, now judge.Verdict) (string, error) {
	var stored judge.Verdict
	err := rundir.ReadJSON(dir, rundir.VerdictFile, &stored)
	if errors.Is(err, os.ErrNotExist) {
		return "The folder has no " + rundir.VerdictFile + ": the run crashed. This verdict is based on what it recorded until then.", nil
	}
	if err != nil {
		return fmt.Sprintf("The stored verdict cannot be read: %v", err), nil
	}
	// Compared as JSON, so that nil and empty lists are written alike on both sides.
	was, err1 := json.Marshal(stored)
	is, err2 := json.Marshal(now)
	if err := errors.Join(err1, err2); err != nil || bytes.Equal(was, is) {
		return "", err
	}
	if stored.Outcome == now.Outcome && stored.Reason == now.Reason {
		return fmt.Sprintf("The stored verdict has the same outcome (%s), but differs in details.", stored.Outcome), nil
	}
	return fmt.Sprintf("The stored verdict differs: %s: %s", stored.Outcome, stored.Reason), nil
}

func newReport() *cobra.Command {
	return &cobra.Command{
		Use: "report RUN", Short: "Write the reports of a run folder again", Args: exactly(1, "one run folder"),
		Long: `Report writes report.html and junit.xml again, from the files in the run folder.
It does not judge: a folder without verdict.json is reported as a crash.`,
		Example: "  relapse report runs/latest/dns-5s",
		RunE: func(c *cobra.Command, args []string) error {
			data, err := session.Data(args[0], catalogue.All())
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
