package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/regular"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/reports"
)

func newCompare() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use: "compare BASE HEAD", Short: "Say what changed between two sets of results, and how sure that is",
		Long: `Compare says what changed from BASE to HEAD: outcomes, claims, detectors, how
often the failure was seen, how long attempts took, and how long it took to detect
the failure and to recover. It lists what got worse, is gone, new, newly skipped
or newly inconclusive, and the versions that differ.

BASE and HEAD are run folders, folders of suites, folders with run folders in
them, or stores of results (relapse history).
` + selectionHelp + `

Results are compared with those of the same scenario, variant and environment. If
BASE and HEAD have one environment each, they are compared even if it is not the
same. If one of them is a single run, only what that run has is compared.

An answer, such as fail or quiet, that only one side has ever given is a change,
and it is said how often: failed 1 of 1, before 0 of 12. Rates and times are
tested; what may be chance, or is too small to matter, is no change. One run is
one number, so times need several runs on each side: it is said how many would do.

relapse agree compares two single runs point by point, without statistics: whether
two clusters say the same, and if not, whether the scenario explains it. Use agree
for lab and kind, and compare for yesterday and today.

Exit codes:
  0  nothing got worse, as far as there is data to tell
  1  something got worse, is gone, or is newly skipped
  2  the command line is wrong, or something cannot be read
  3  no scenario has an answer on both sides, or one is newly inconclusive`,
		Example: `  relapse compare runs-old runs-new
  relapse compare 'results?until=2026-11-29&last=12' 'results?since=2026-11-30'
  relapse compare 'results?env=lab' runs/latest/dns-5s --markdown`,
		Args: exactly(2, "two sets of results"),
		RunE: f.run,
	}
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
	c.Flags().BoolVar(&f.markdown, "markdown", false, "print Markdown, for a job summary or a pull request")
	c.Flags().StringVar(&f.host, "host", "", "`name` of the kind of machine that run folders are from (see relapse history add)")
	c.Flags().StringVar(&f.junit, "junit", "", "also write JUnit XML to a `file`")
	return c
}

type compareFlags struct {
	json, markdown bool
	host, junit    string
}

func (f *compareFlags) run(c *cobra.Command, args []string) error {
	if f.json && f.markdown {
		return usagef("--json cannot be combined with --markdown")
	}
	comparison, err := compared(c, args, f.host)
	if err != nil {
		return usage(err)
	}
	if f.junit != "" {
		xml, err := reports.ComparisonJUnit(comparison)
		if err == nil {
			err = regular.WriteIn(filepath.Dir(f.junit), filepath.Base(f.junit), xml)
		}
		if err != nil {
			return err
		}
	}
	out := c.OutOrStdout()
	switch {
	case f.json:
		err = printJSON(out, comparison)
	case f.markdown:
		_, err = out.Write(reports.ComparisonMarkdown(comparison))
	default:
		err = reports.ComparisonTerminal(out, comparison, width(out), colored(out))
	}
	if err != nil {
		return err
	}
	switch {
	case comparison.Change.Bad():
		return coded{exitFail, nil}
	case comparison.Counts[compare.Inconclusive] > 0 || comparison.Undecided():
		return coded{exitInconclusive, nil}
	}
	return nil
}

// source is one side of a comparison.
type source struct {
	name string
	// store is nil if it is run folders, whose results are in list.
	store     *results.Store
	selection results.Selection
	list      []results.Result
	problems  []results.Problem
	// single is whether it is one run folder.
	single bool
}

func openSource(c *cobra.Command, arg, host string) (source, error) {
	s := source{name: arg}
	path, _, selected := strings.Cut(arg, "?")
	if _, err := os.Lstat(arg); err == nil {
		path, selected = arg, false // whose name has a question mark
	}
	if selected || results.IsStore(path) {
		var err error
		s.store, s.selection, err = openStore(arg)
		return s, err
	}
	s.single = isRun(path)
	var err error
	s.list, s.problems, err = read(c, []string{path}, host)
	slices.SortFunc(s.list, func(a, b results.Result) int { return results.Compare(&a, &b) })
	return s, err
}

// openStore opens STORE?SELECTION.
func openStore(arg string) (*results.Store, results.Selection, error) {
	path, query, _ := strings.Cut(arg, "?")
	sel, err := results.ParseSelection(query, time.Now())
	if err != nil {
		return nil, sel, err
	}
	store, err := results.Open(path)
	return store, sel, err
}

// each calls a function with the results, in the order of time.
func (s *source) each(c *cobra.Command, call func(*results.Result)) error {
	if s.store == nil {
		for i := range s.list {
			call(&s.list[i])
		}
		return nil
	}
	problems, err := s.store.Each(c.Context(), s.selection, call)
	s.problems = problems
	return err
}

// compared compares two sides. If one is a single run, only what that run has is compared: in its environment, if the other side has
// results of that.
func compared(c *cobra.Command, args []string, host string) (compare.Comparison, error) {
	var sides [2]source
	for i, arg := range args {
		var err error
		if sides[i], err = openSource(c, arg, host); err != nil {
			return compare.Comparison{}, err
		}
	}
	wanted := func(*results.Result) bool { return true }
	for i := range sides {
		if sides[i].single {
			var err error
			if wanted, err = alike(c, sides[i].list, &sides[1-i]); err != nil {
				return compare.Comparison{}, err
			}
		}
	}
	comparer := compare.NewComparer(args[0], args[1])
	for i, add := range []func(*results.Result){comparer.Base, comparer.Head} {
		err := sides[i].each(c, func(r *results.Result) {
			if wanted(r) {
				add(r)
			}
		})
		if err != nil {
			return compare.Comparison{}, err
		}
	}
	comparison := comparer.Comparison()
	for _, s := range sides {
		for _, p := range s.problems {
			comparison.Problems = append(comparison.Problems, fmt.Sprintf("%s: %s", s.name, p))
		}
	}
	if len(comparison.Pairs) == 0 {
		return comparison, errors.New("neither side has a result to compare")
	}
	return comparison, nil
}

// alike reports which results of the other side are to be compared with those of a single run.
func alike(c *cobra.Command, single []results.Result, other *source) (func(*results.Result) bool, error) {
	variants, envs := map[[2]string]bool{}, map[string]bool{}
	for _, r := range single {
		variants[[2]string{r.Scenario, r.Variant}], envs[r.Env.Key()] = true, true
	}
	same := false
	ofVariant := func(r *results.Result) bool { return variants[[2]string{r.Scenario, r.Variant}] }
	err := other.each(c, func(r *results.Result) { same = same || ofVariant(r) && envs[r.Env.Key()] })
	return func(r *results.Result) bool { return ofVariant(r) && (!same || envs[r.Env.Key()]) }, err
}
