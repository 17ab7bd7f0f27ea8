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
runs: then all scenarios are compared of which both have a run, and the others are
told. Where a suite was to run one and has no run of it, nothing can be said. Both
runs are judged again from their histories first. Nothing is written.

Exit codes:
  0  pass          both say the same, or the scenario explains why not
  1  fail          they differ and nothing explains it, or a difference that is
                   explained is not there
  2  usage         a wrong command line, or two runs that cannot be compared
  3  inconclusive  one of them is inconclusive, or crashed, or never began
  4  skipped       there is nothing that both have looked at`,
		Example: `  relapse agree runs/20261121-101824-dns-5s-lab runs/20261121-103010-dns-5s-kind
  relapse agree runs-lab/latest/suite runs-kind/latest/suite
  relapse agree runs-nftables runs-iptables --json | jq '.[].reason'`,
		Args: exactly(2, "two run folders"),
		RunE: func(c *cobra.Command, args []string) error {
			all, missing, err := compareAll(args[0], args[1])
			if len(all)+len(missing) > 0 {
				err = errors.Join(printAgreements(c, args, all, missing, asJSON), err)
			}
			if err != nil {
				return usage(err)
			}
			outcome := judge.Skipped
			for _, a := range slices.Concat(all, missing) {
				outcome = judge.Worst(outcome, a.Outcome)
			}
			return byOutcome(outcome)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: an agreement, or of suites a list of them")
	return c
}

// compareAll holds what two paths stand for against each other, scenario by scenario. Missing are those that not both have a run of, where
// neither path is a single run.
func compareAll(one, other string) (all, missing []agree.Agreement, err error) {
	paths := [2]string{one, other}
	var runs [2]map[string]string
	for i, path := range paths {
		if runs[i], err = session.Runs(path); err != nil {
			return nil, nil, err
		}
	}
	ids := slices.Sorted(maps.Keys(runs[0]))
	ids = slices.AppendSeq(ids, maps.Keys(runs[1]))
	slices.Sort(ids)
	named := false // by both
	for _, id := range slices.Compact(ids) {
		if runs[0][id] == "" || runs[1][id] == "" {
			a := without(id, paths, runs)
			named = named || a.Outcome == judge.Inconclusive
			missing = append(missing, a)
			continue
		}
		a, compareErr := session.Agree(runs[0][id], runs[1][id], catalogue.All())
		if compareErr == nil {
			all = append(all, a)
		}
		err = errors.Join(err, compareErr)
	}
	if isRun(one) || isRun(other) {
		missing, named = nil, false
	}
	if err == nil && len(all) == 0 && !named {
		missing = nil
		err = fmt.Errorf("there is no scenario of which both have a run: %s has %s; %s has %s", one, scenariosOf(runs[0]), other, scenariosOf(runs[1]))
	}
	return all, missing, err
}

// without says of a scenario that not both have a run of who has none: inconclusive where it was to have one.
func without(id string, paths [2]string, runs [2]map[string]string) agree.Agreement {
	var reasons []string
	var folders [2]string
	outcome := judge.Inconclusive
	for i, path := range paths {
		run, named := runs[i][id]
		folders[i] = run
		switch {
		case !named:
			outcome = judge.Skipped
			reasons = append(reasons, path+" has no run of it")
		case run == "":
			reasons = append(reasons, path+" names it and has no run of it")
		}
	}
	return agree.Missing(id, folders, outcome, strings.Join(reasons, "; "))
}

// scenariosOf lists the scenarios that there are runs of.
func scenariosOf(runs map[string]string) string {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(runs)) {
		if runs[id] != "" {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, ", ")
}

func isRun(path string) bool {
	_, err := os.Stat(filepath.Join(path, rundir.RunFile))
	return err == nil
}

// printAgreements prints one in full where a single run was asked for, else a table of all.
func printAgreements(c *cobra.Command, paths []string, all, missing []agree.Agreement, asJSON bool) error {
	out := c.OutOrStdout()
	single := slices.ContainsFunc(paths, isRun)
	switch {
	case asJSON && single:
		return printJSON(out, all[0])
	case asJSON:
		return printJSON(out, slices.Concat(all, missing))
	case single:
		return reports.AgreementTerminal(out, all[0], width(out), colored(out))
	}
	return reports.AgreementsTerminal(out, all, missing, width(out), colored(out))
}
