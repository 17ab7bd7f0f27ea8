package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/session"
	"github.com/relapse-k8s/relapse/reports"
)

func newAgree() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "agree RUN RUN",
		Short: "Say whether two runs of a scenario agree, such as one in the lab and one on kind",
		Long: `Agree holds two runs of one scenario against each other, point by point: how much
of the failure each phase shows, with each remedy and control, what each detector
says there, and what became of each claim.

Where they differ, the scenario must explain it: in its list of differences, or
because it expects something else of a cluster that offers something else. A
difference that is explained and is not there is an error too. What only one of
the two has looked at is said, with the reason, and is no disagreement.

In place of a run folder, a suite's will do, or a folder of run folders such as
runs: then all scenarios are compared of which both have a run. Both runs are
judged again from their histories first. Nothing is written.

Exit codes:
  0  pass          both say the same, or the scenario explains why not
  1  fail          they differ and nothing explains it, or a difference that is
                   explained is not there
  2  usage         a wrong command line, or two runs that cannot be compared
  3  inconclusive  one of them is inconclusive, or crashed
  4  skipped       there is nothing that both have looked at`,
		Example: `  relapse agree runs/20261121-101824-dns-5s-lab runs/20261121-103010-dns-5s-kind
  relapse agree runs-lab/latest/suite runs-kind/latest/suite
  relapse agree runs-nftables runs-iptables --json | jq '.[].reason'`,
		Args: exactly(2, "two run folders"),
		RunE: func(c *cobra.Command, args []string) error {
			all, err := compareAll(args[0], args[1])
			if len(all) > 0 {
				err = errors.Join(printAgreements(c, args, all, asJSON), err)
			}
			if err != nil {
				return usage(err)
			}
			outcome := judge.Skipped
			for _, a := range all {
				outcome = judge.Worst(outcome, a.Outcome)
			}
			return byOutcome(outcome)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: an agreement, or of suites a list of them")
	return c
}

// compareAll holds what two paths stand for against each other, scenario by scenario.
func compareAll(one, other string) ([]agree.Agreement, error) {
	first, err := session.Runs(one)
	if err != nil {
		return nil, err
	}
	second, err := session.Runs(other)
	if err != nil {
		return nil, err
	}
	var all []agree.Agreement
	for _, id := range slices.Sorted(maps.Keys(first)) {
		if second[id] == "" {
			continue
		}
		a, compareErr := session.Agree(first[id], second[id], catalogue.All())
		if compareErr == nil {
			all = append(all, a)
		}
		err = errors.Join(err, compareErr)
	}
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("there is no scenario of which both have a run: %s has %s; %s has %s", one, scenariosOf(first), other, scenariosOf(second))
	}
	return all, err
}

func scenariosOf(runs map[string]string) string {
	return strings.Join(slices.Sorted(maps.Keys(runs)), ", ")
}

// printAgreements prints one in full where a single run was asked for, else a table of all.
func printAgreements(c *cobra.Command, paths []string, all []agree.Agreement, asJSON bool) error {
	out := c.OutOrStdout()
	single := slices.ContainsFunc(paths, func(path string) bool {
		_, err := os.Stat(filepath.Join(path, rundir.RunFile))
		return err == nil
	})
	switch {
	case asJSON && single:
		return printJSON(out, all[0])
	case asJSON:
		return printJSON(out, all)
	case single:
		return reports.AgreementTerminal(out, all[0], width(out), colored(out))
	}
	return reports.AgreementsTerminal(out, all, width(out), colored(out))
}
