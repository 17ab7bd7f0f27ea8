package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/reports"
)

const aboutStores = `A store is a folder that only grows. It holds results, and no evidence: for each
run and variant the outcome, every phase with its time, what each detector said
and when, claims, rates, versions, and the command to run it again. A git branch,
an artefact or a disk can hold it.`

const selectionHelp = `STORE may be followed by a selection, in quotes: 'STORE?since=7d&env=lab&last=12'
` + results.SelectionKeys

func newHistory() *cobra.Command {
	c := &cobra.Command{
		Use: "history", Short: "Keep the results of runs in a store, and merge stores",
		Long: aboutStores + "\n\nrelapse compare compares what is in it.",
	}
	c.AddCommand(newHistoryAdd(), newHistoryMerge(), newHistoryList())
	return c
}

func newHistoryAdd() *cobra.Command {
	var host string
	var asJSON bool
	c := &cobra.Command{
		Use: "add STORE RUN...", Short: "Add the results of runs to a store",
		Long: `Add reads run folders, and adds what is worth keeping of them to a store, which is
made if it is not there. RUN is a run folder, the folder of a suite, or a folder
with run folders in it. What is in the store already is left alone, so runs can be
added more than once. Runs that crashed or were skipped are results, too.

` + aboutStores + `

Results are found by their environment: cluster, CNI, mode of kube-proxy, version
of Kubernetes, and version of the kernel. With --host, the name of the machine
takes the kernel's place. Then an update of its kernel is a change of that
environment, and not another environment.

Exit codes:
  0  everything was added, or was there already
  2  the command line is wrong, or RUN has no run folders
  3  something could not be read; the rest was added`,
		Example: `  relapse history add results runs
  relapse history add results runs/latest/suite --host ubuntu-24.04`,
		Args: atLeast(2, "a store and at least one run folder"),
		RunE: func(c *cobra.Command, args []string) error {
			list, problems, err := read(c, args[1:], host)
			if err != nil {
				return usage(err)
			}
			store, err := results.Create(args[0])
			if err != nil {
				return usage(err)
			}
			added, found, err := store.Add(c.Context(), list)
			problems = append(problems, found...)
			if err == nil && asJSON {
				err = printJSON(c.OutOrStdout(), added)
			} else if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s added", plural(added.New, "result"))
				if added.Revised > 0 {
					fmt.Fprintf(c.OutOrStdout(), ", of which %d replace earlier ones of the same run", added.Revised)
				}
				fmt.Fprintf(c.OutOrStdout(), "; %d already there\n", added.Known)
			}
			return errors.Join(err, unread(c, problems))
		},
	}
	c.Flags().StringVar(&host, "host", "", "`name` of this kind of machine, such as ubuntu-24.04")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// read reads the results of run folders. A folder that cannot be read is a problem, and the others are read.
func read(c *cobra.Command, paths []string, host string) (list []results.Result, problems []results.Problem, err error) {
	if strings.ContainsRune(host, '/') {
		return nil, nil, fmt.Errorf("invalid --host %q: must not have a slash", host)
	}
	for _, path := range paths {
		folders, err := session.Folders(c.Context(), path)
		if err != nil {
			return nil, nil, err
		}
		for _, folder := range folders {
			some, found, err := session.Results(folder, host, catalogue.All())
			problems = append(problems, found...)
			if err != nil {
				problems = append(problems, results.Problem{File: folder, What: err.Error()})
			}
			list = append(list, some...)
		}
	}
	return list, problems, nil
}

// unread tells of what could not be read, which is an exit code of its own.
func unread(c *cobra.Command, problems []results.Problem) error {
	if len(problems) == 0 {
		return nil
	}
	for _, p := range problems {
		fmt.Fprintln(c.ErrOrStderr(), "relapse:", reports.Printable(p.String()))
	}
	return coded{exitInconclusive, nil}
}

func newHistoryMerge() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "merge STORE OTHER...", Short: "Copy what other stores have into a store",
		Long: `Merge copies the files of other stores that this one does not have. The order does
not matter, and merging twice changes nothing. A file that is damaged in one of the
stores is taken from the other. Lines of a newer relapse are copied as they are.

Exit codes:
  0  the store has all that the others have
  2  the command line is wrong, or OTHER is not a store
  3  something could not be read; the rest was copied`,
		Example: "  relapse history merge results artifacts/*/results",
		Args:    atLeast(2, "two or more stores"),
		RunE: func(c *cobra.Command, args []string) error {
			var others []*results.Store
			for _, path := range args[1:] {
				other, err := results.Open(path)
				if err != nil {
					return usage(err)
				}
				others = append(others, other)
			}
			store, err := results.Create(args[0])
			if err != nil {
				return usage(err)
			}
			var all results.Merged
			var problems []results.Problem
			for _, other := range others {
				m, found, err := store.Merge(c.Context(), other)
				problems = append(problems, found...)
				if err != nil {
					return errors.Join(err, unread(c, problems))
				}
				all = results.Merged{New: all.New + m.New, Known: all.Known + m.Known, Repaired: all.Repaired + m.Repaired, Salvaged: all.Salvaged + m.Salvaged}
			}
			if asJSON {
				err = printJSON(c.OutOrStdout(), all)
			} else {
				fmt.Fprintf(c.OutOrStdout(), "%s copied; %d already there", plural(all.New+all.Salvaged, "file"), all.Known)
				if all.Repaired > 0 {
					fmt.Fprintf(c.OutOrStdout(), "; %d that were damaged here replaced", all.Repaired)
				}
				fmt.Fprintln(c.OutOrStdout())
			}
			return errors.Join(err, unread(c, problems))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newHistoryList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list STORE", Short: "List the results of a store",
		Long: "List prints the results of a store, oldest first.\n\n" + selectionHelp + `

Exit codes:
  0  all results were read
  2  the command line is wrong, or STORE is not a store
  3  something could not be read; the rest was listed`,
		Example: `  relapse history list results
  relapse history list 'results?since=7d&scenario=dns-5s' --json | jq .outcome`,
		Args: exactly(1, "one store"),
		RunE: func(c *cobra.Command, args []string) error {
			store, sel, err := openStore(args[0])
			if err != nil {
				return usage(err)
			}
			out := c.OutOrStdout()
			encoder := json.NewEncoder(out)
			var printing error
			problems, err := store.Each(c.Context(), sel, func(r *results.Result) {
				switch {
				case printing != nil:
				case asJSON:
					printing = encoder.Encode(r)
				default:
					printing = listResult(out, r)
				}
			})
			if err = errors.Join(err, printing); err != nil {
				return err
			}
			return unread(c, problems)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: each result in a line")
	return c
}

// listResult writes a result in one line.
func listResult(out io.Writer, r *results.Result) error {
	rate := ""
	if r.Reproduction.Trials > 0 {
		rate = fmt.Sprintf("%d/%d", r.Reproduction.Hits, r.Reproduction.Trials)
	}
	_, err := fmt.Fprintln(out, reports.Printable(fmt.Sprintf("%s  %-12s  %7s  %s/%s  %s",
		r.Start.UTC().Format("2006-01-02 15:04"), r.Outcome, rate, r.Scenario, r.Variant, r.Env.Key())))
	return err
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
