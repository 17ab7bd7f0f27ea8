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

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/reports"
)

func newAgree() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "agree RUN RUN",
		Short: "Compare two runs of a scenario, such as one in the lab and one on kind",
		Long: `Agree compares two runs of one scenario: how much of the failure each phase shows,
with each remedy and control, what each detector says there, and the result of
each claim.

If they differ, the scenario must explain it: in its list of differences, or by
what it expects of clusters that offer different things. An explanation for a
difference that did not occur is an error, too. What only one of the two runs has
tested is listed with the reason, and is not counted as a difference.

RUN can also be the folder of a suite, or a folder of run folders such as runs.
Then every scenario is compared that has a run in both, and the others are listed.
If one of two suites has no run of a scenario that both should have run, the
result is inconclusive. Both runs are first judged again from their histories.
Nothing is written.

To see what changed between many runs, and whether that may be chance, use
relapse compare.

Exit codes:
  0  pass          they agree, or the scenario explains each difference
  1  fail          a difference is not explained, or an explained difference
                   did not occur
  2  usage         the command line is wrong, or the runs cannot be compared
  3  inconclusive  one of the runs is inconclusive, crashed, or never started
  4  skipped       they have nothing in common that can be compared`,
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
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: one agreement, or a list for suites and folders")
	return c
}

// compareAll compares two paths, scenario by scenario. Missing are the scenarios that only one of them has a run of; it is empty
// if one path is a single run.
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
	named := false // whether both name a scenario without a run
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
		err = fmt.Errorf("no scenario has a run in both folders: %s has %s; %s has %s", one, scenariosOf(runs[0]), other, scenariosOf(runs[1]))
	}
	return all, missing, err
}

// without says which path has no run of a scenario. It is inconclusive if both name the scenario, otherwise skipped.
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
			reasons = append(reasons, path+" lists it but has no run of it")
		}
	}
	return agree.Missing(id, folders, outcome, strings.Join(reasons, "; "))
}

// scenariosOf lists the scenarios that have a run.
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

// printAgreements prints one agreement in full if a path is a single run, otherwise a table of all.
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
