package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/session"
	"github.com/relapse-k8s/relapse/reports"
)

type runFlags struct {
	cluster, proxy, pauseAt, out   string
	variants                       []string
	repeat                         int
	seed                           uint64
	timeout                        time.Duration
	keep, hostChanges, quiet, json bool
}

func newRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run ID|FILE",
		Short: "Run one scenario and write its report",
		Long: `Run takes one scenario through its phases: baseline, fault, each remedy and
its withdrawal, controls, restored. Remedies run side by side, each in a lab of
its own. An ordinary user's run goes on in a user namespace.

All that was seen is kept in a run folder: history.jsonl, evidence/,
verdict.json, report.html, junit.xml. OUT/latest/ID is a link to the last one.
Where GITHUB_STEP_SUMMARY is set, a summary is added to that file.

The first Ctrl-C ends the run and undoes everything; the second ends it at once,
and the guard that outlives it undoes everything.

--pause-at holds the first lane that reaches the phase open until Enter, and
prints how to enter its nodes and pods; lanes then run one after the other, so
--variant makes it quicker. Where standard input has ended, only Ctrl-C goes on.
--keep is --pause-at restored: the fault is undone, and nothing is torn down yet.
There is no limit of time then, unless --timeout is given.

` + exitCodes,
		Example: `  relapse run dns-5s
  relapse run dns-5s --variant forced --repeat 100
  relapse run dns-5s --variant forced --pause-at fault
  relapse run conntrack-exhaustion --allow-host-changes
  relapse run ./my-failure.yaml --proxy iptables
  relapse run dns-5s --json | jq .outcome`,
		Args: exactly(1, "one scenario: its id, or its file"), ValidArgsFunction: completeIDs,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.cluster, "cluster", "lab", "where to run: lab")
	flags.StringVar(&f.proxy, "proxy", "nftables", "kube-proxy's mode: nftables or iptables")
	flags.StringSliceVar(&f.variants, "variant", nil, "run only this `variant`; may be given again")
	flags.IntVar(&f.repeat, "repeat", 0, "attempts of the symptom's probe in each phase,\nfor a sharper reproduction rate")
	flags.StringVar(&f.pauseAt, "pause-at", "", "hold everything open at the end of this `phase` until Enter")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random choice; 0 chooses one")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "limit of the whole run; what is left to undo is\nundone all the same")
	flags.StringVar(&f.out, "out", "runs", "`folder` for run folders")
	flags.BoolVar(&f.keep, "keep", false, "hold everything open after the last phase: --pause-at restored")
	flags.BoolVar(&f.hostChanges, "allow-host-changes", false, "run variants that change settings of the machine")
	flags.BoolVar(&f.quiet, "quiet", false, "print only the outcome")
	flags.BoolVar(&f.json, "json", false, "print the verdict as JSON, and nothing else")
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions([]string{"nftables", "iptables"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("cluster", cobra.FixedCompletions([]string{"lab"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("pause-at", completeFrom((*scenario.Scenario).Phases))
	_ = c.RegisterFlagCompletionFunc("variant", completeFrom(variants))
	return c
}

func (f *runFlags) run(c *cobra.Command, name string) error {
	s, source, err := load(name)
	if err != nil {
		return err
	}
	if f.keep && f.pauseAt == "" {
		f.pauseAt = "restored"
	}
	if f.pauseAt != "" && !c.Flags().Changed("timeout") {
		f.timeout = 365 * 24 * time.Hour // people take their time
	}
	known := variants(s)
	switch {
	case f.cluster != "lab":
		return usagef("--cluster %s: there is lab", f.cluster)
	case f.proxy != "nftables" && f.proxy != "iptables":
		return usagef("--proxy %s: there are nftables and iptables", f.proxy)
	case f.repeat < 0:
		return usage(errors.New("--repeat wants a number of attempts"))
	case f.timeout <= 0:
		return usage(errors.New("--timeout wants a time, such as 5m"))
	case f.keep && f.pauseAt != "restored":
		return usage(errors.New("--keep is --pause-at restored: give one of them"))
	case f.pauseAt != "" && !slices.Contains(s.Phases(), f.pauseAt):
		return usagef("--pause-at %s: the phases of %s are %s", f.pauseAt, s.Metadata.ID, strings.Join(s.Phases(), ", "))
	}
	for _, v := range f.variants {
		if !slices.Contains(known, v) {
			return usagef("--variant %s: the variants of %s are %s", v, s.Metadata.ID, strings.Join(known, ", "))
		}
	}
	if err := enterUserNamespace(); err != nil {
		return err
	}
	provider, err := lab.New()
	if err != nil {
		return coded{exitSkipped, err}
	}
	if f.seed == 0 {
		f.seed = rand.Uint64N(1<<53) + 1
	}
	progress := newProgress(c.OutOrStdout(), f.quiet || f.json)
	progress.begin(s, f.seed)
	dir, err := run.Run(c.Context(), run.Options{
		Scenario: s, Source: source, Provider: provider, Agent: filepath.Join(provider.Bin, "relapse-agent"), Proxy: f.proxy,
		Variants: f.variants, Repeat: f.repeat, PauseAt: f.pauseAt, Resume: patient{c.InOrStdin()}, Prompt: progress.prompt(), Seed: f.seed,
		Timeout: f.timeout, Out: f.out, AllowHostChanges: f.hostChanges, Command: f.command(name), Watch: progress.watch, Status: progress.status,
	})
	progress.end()
	if c.Context().Err() != nil {
		fmt.Fprintln(c.ErrOrStderr(), "relapse:", context.Cause(c.Context()))
	}
	if dir == "" {
		return err
	}
	if err != nil {
		// A run that could not be brought to its end, such as by a guard that could not put the machine in order, must not pass, nor
		// when it is judged again.
		err = errors.Join(err, addError(dir, err))
	}
	verdict, concludeErr := session.Conclude(dir, catalogue.All())
	if concludeErr != nil {
		return errors.Join(err, concludeErr)
	}
	if err = errors.Join(err, f.report(c, dir, verdict)); err != nil {
		if verdict.Outcome == judge.Pass {
			return err
		}
		return coded{exitCode(verdict.Outcome), err}
	}
	return byOutcome(verdict.Outcome)
}

// patient is standard input that has no end: who closes it has not said that the run may go on.
type patient struct{ io.Reader }

func (p patient) Read(buffer []byte) (int, error) {
	n, err := p.Reader.Read(buffer)
	if n == 0 && err != nil {
		select {} // until the process ends
	}
	return n, nil
}

// addError adds what went wrong with the whole run to its history.
func addError(dir string, what error) error {
	path := filepath.Join(dir, rundir.HistoryFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // the run did not get as far; the verdict says so
	}
	events, err := history.Read(path)
	if err != nil {
		return err
	}
	last := 0.0
	for _, e := range events {
		last = max(last, e.T)
	}
	line, err := json.Marshal(history.Event{T: last, Kind: history.KindError, Text: what.Error()})
	if err != nil {
		return err
	}
	return appendFile(path, append(line, '\n'))
}

// command is what a person would type to run this again.
func (f *runFlags) command(name string) []string {
	command := []string{"relapse", "run", name, "--proxy", f.proxy}
	if f.pauseAt != "" {
		command = append(command, "--pause-at", f.pauseAt)
	}
	for _, v := range f.variants {
		command = append(command, "--variant", v)
	}
	if f.repeat > 0 {
		command = append(command, "--repeat", fmt.Sprint(f.repeat))
	}
	if f.hostChanges {
		command = append(command, "--allow-host-changes")
	}
	return append(command, "--seed", fmt.Sprint(f.seed))
}

// report tells what came out, and points runs/latest/ID to the run.
func (f *runFlags) report(c *cobra.Command, dir string, verdict judge.Verdict) error {
	out := c.OutOrStdout()
	data, err := reportData(dir)
	if err != nil {
		return err
	}
	if summary := os.Getenv("GITHUB_STEP_SUMMARY"); summary != "" {
		if err := appendFile(summary, reports.Markdown(data)); err != nil {
			return err
		}
	}
	if err := latest(f.out, verdict.Scenario, dir); err != nil {
		return err
	}
	switch {
	case f.json:
		return printJSON(out, verdict)
	case f.quiet:
		_, err := fmt.Fprintf(out, "%s: %s: %s (%s)\n", verdict.Scenario, verdict.Outcome, strings.Join(strings.Fields(verdict.Reason), " "), filepath.Join(dir, rundir.ReportFile))
		return err
	}
	return reports.Terminal(out, data, width(out), colored(out))
}

// latest makes OUT/latest/ID a link to the run folder, in one step.
func latest(out, id, dir string) error {
	folder := filepath.Join(out, "latest")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(folder, fmt.Sprintf(".%s-%d", id, os.Getpid()))
	if err := os.Symlink(filepath.Join("..", filepath.Base(dir)), temporary); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(folder, id))
}

func appendFile(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
