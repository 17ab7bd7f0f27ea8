package cli

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	comparing "github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/known"
	"github.com/relapse-k8s/relapse/harness/regular"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/scenario"
	loader "github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/reports/website"
	"github.com/relapse-k8s/relapse/scenarios"
)

// siteFlags are what the command site is told.
type siteFlags struct {
	repository, runs, known, base, head string
	stale                               time.Duration
	nights, last                        int
	exitCode                            bool
}

func newSite() *cobra.Command {
	var f siteFlags
	c := &cobra.Command{
		Use: "site STORE OUT", Short: "Make pages over many runs: what changed, and why to believe it", Args: exactly(2, "a store and a folder"),
		Long: `Site makes a folder of pages from a store of results. They open from disk and
from any web server, and need neither scripts nor anything from elsewhere. The
first page says what changed, when, and how to run it again, and shows the newest
nights of every environment. Each scenario has a page, and each of its newest
runs an audit: every stage, with its outcome.

Beside the pages are summary.md, for the summary of a job or a pull request, and
changes.json.

OUT must be new, empty, or made by this command before.

A file of known differences is a list of changes that are no news:

  - scenario: dns-5s
    variant: forced
    what: latency/*           as comparisons name it: outcome, claim/ID,
                              phase/PHASE, detector/PHASE/ID, latency/PHASE/PROBE
    environment: kind/*       if not given, all
    why: the runners of kind are slow
    until: 2027-01-31         after this day it is news again

Exit codes: 0 if the pages were made, 2 if the command line or a file is wrong.
With --exit-code, 1 if something got worse that is not known.`,
		Example: `  relapse history add store runs
  relapse site store site && xdg-open site/index.html
  relapse site store site --repository https://github.com/me/my-cni --known known-differences.yaml
  relapse site store site --base "until=2026-11-01" --head "since=7d"`,
		RunE: func(c *cobra.Command, args []string) error { return makeSite(c, args[0], args[1], f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.repository, "repository", "", "`URL` of the repository where issues are opened")
	flags.StringVar(&f.runs, "runs", "", "address of the `folder` with the run folders, as seen from OUT: pages link to their reports")
	flags.StringVar(&f.known, "known", "", "`file` of known differences")
	flags.StringVar(&f.base, "base", "", "compare this `selection` of the store with --head, on a page of its own")
	flags.StringVar(&f.head, "head", "", "the other `selection`; see relapse history --help")
	flags.DurationVar(&f.stale, "stale", 48*time.Hour, "mark environments without a result for so long")
	flags.IntVar(&f.nights, "nights", 5, "newest nights of each environment in the table of all scenarios")
	flags.IntVar(&f.last, "last", 60, "newest runs of each scenario, variant and environment that are looked at")
	flags.BoolVar(&f.exitCode, "exit-code", false, "exit with 1 if something got worse that is not known")
	return c
}

func (f siteFlags) check() error {
	for name, n := range map[string]int{"nights": f.nights, "last": f.last} {
		if n < 1 {
			return usagef("invalid --%s %d: must be 1 or more", name, n)
		}
	}
	if f.stale <= 0 {
		return usagef("invalid --stale %s: must be more than 0", f.stale)
	}
	if (f.base == "") != (f.head == "") {
		return usagef("--base and --head belong together")
	}
	for name, address := range map[string]string{"repository": f.repository, "runs": f.runs} {
		u, err := url.Parse(address)
		web := err == nil && (u.Scheme == "https" || u.Scheme == "http")
		if address != "" && !web && (name == "repository" || err != nil || u.Scheme != "") {
			return usagef("invalid --%s %q: must be an address such as https://github.com/me/my-cni", name, address)
		}
	}
	return nil
}

func makeSite(c *cobra.Command, from, out string, f siteFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	site := website.Site{Repository: f.repository, Runs: filepath.ToSlash(f.runs), Now: time.Now(), Stale: f.stale, Nights: f.nights, KnownFile: f.known}
	store, err := results.Open(from)
	if err != nil {
		return usage(err)
	}
	if f.known != "" {
		text, err := regular.ReadFile(f.known, regular.MaxScenario)
		if err == nil {
			site.Known, err = known.Parse(f.known, text)
		}
		if err != nil {
			return usage(err)
		}
	}
	if f.base != "" {
		if site.Selected, err = compareSelections(c.Context(), store, f, site.Now); err != nil {
			return err
		}
	}
	if site.Scenarios, err = knownScenarios(); err != nil {
		return err
	}
	site.Problems, err = store.Each(c.Context(), results.Selection{Last: f.last}, func(r *results.Result) { site.Results = append(site.Results, r) })
	if err != nil {
		return err
	}
	done, err := website.Write(c.Context(), out, site)
	if err != nil {
		return err
	}
	fmt.Fprintf(c.OutOrStdout(), "%s\n%s\n", done.Line, filepath.Join(out, "index.html"))
	if f.exitCode && done.Worse {
		return byOutcome(judge.Fail)
	}
	return nil
}

// compareSelections compares two selections of a store.
func compareSelections(ctx context.Context, store *results.Store, f siteFlags, now time.Time) (*comparing.Comparison, error) {
	comparer := comparing.NewComparer(f.base, f.head)
	for _, side := range []struct {
		flag, text string
		add        func(*results.Result)
	}{{"base", f.base, comparer.Base}, {"head", f.head, comparer.Head}} {
		selection, err := results.ParseSelection(side.text, now)
		if err != nil {
			return nil, usagef("invalid --%s: %w", side.flag, err)
		}
		if _, err := store.Each(ctx, selection, side.add); err != nil { // what cannot be read is told when all is read
			return nil, err
		}
	}
	comparison := comparer.Comparison()
	return &comparison, nil
}

// knownScenarios are the scenarios that are compiled in, by id.
func knownScenarios() (map[string]*scenario.Scenario, error) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, err
	}
	all := map[string]*scenario.Scenario{}
	for _, id := range ids {
		if all[id], err = loader.FS(scenarios.Files, id+".yaml", catalogue.All()); err != nil {
			return nil, err
		}
	}
	return all, nil
}
