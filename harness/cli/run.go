package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/session"
	"github.com/relapse-k8s/relapse/reports"
)

// proxies are the modes of kube-proxy that scenarios run with.
var proxies = []string{"nftables", "iptables"}

// defaultTimeout is that of a run.
const defaultTimeout = 5 * time.Minute

// forever is the time-out of a run that a person may hold open: people take their time.
const forever = 365 * 24 * time.Hour

type runFlags struct {
	clusterFlags

	proxy, pauseAt, out            string
	variants                       []string
	repeat                         int
	seed                           uint64
	timeout                        time.Duration
	keep, hostChanges, quiet, json bool
	all                            bool
	labels                         []string
	jobs                           int
	agreeWith                      string
}

func newRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run ID|FILE... | --all",
		Short: "Run scenarios and write their reports",
		Long: `Run takes a scenario through its phases: baseline, fault, each remedy and
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

Several scenarios, or --all of them, or those with a --label, run as a suite:
as many labs at once as --jobs says, then one by one the scenarios that say that
they are exclusive, and last and alone the labs that change the machine. OUT/suite/TIME holds one page over all reports (index.html), junit.xml and
suite.json; OUT/latest/suite is a link to it. --timeout is each lab's then.
The exit code is that of the worst outcome; 4 where all are skipped.

With --agree-with each run is held against another of the same scenario, such as
one in the lab; see relapse agree. agreement.json and the reports tell of it, and
where the two differ without an explanation, the exit code is 1.

` + exitCodes,
		Example: `  relapse run dns-5s
  relapse run dns-5s --variant forced --repeat 100
  relapse run dns-5s --variant forced --pause-at fault
  relapse run conntrack-exhaustion --allow-host-changes
  relapse run ./my-failure.yaml --proxy iptables
  relapse run --all
  relapse run --label conntrack
  relapse run --all --proxy iptables --agree-with runs/latest/suite
  relapse run dns-5s --json | jq .outcome`,
		Args: f.args, ValidArgsFunction: completeIDs,
		RunE: func(c *cobra.Command, args []string) error {
			if f.isSuite(args) {
				return f.runSuite(c, args)
			}
			return f.run(c, args[0])
		},
	}
	flags := c.Flags()
	f.clusterFlags.add(c)
	flags.StringVar(&f.proxy, "proxy", "nftables", "kube-proxy's mode: nftables or iptables;\non kind/NAME that cluster's")
	flags.StringSliceVar(&f.variants, "variant", nil, "run only this `variant`; may be given again")
	flags.IntVar(&f.repeat, "repeat", 0, "attempts of the symptom's probe in each phase,\nfor a sharper reproduction rate")
	flags.StringVar(&f.pauseAt, "pause-at", "", "hold everything open at the end of this `phase` until Enter")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random choice; 0 chooses one")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "limit of the whole run, in a suite of each lab;\nwhat is left to undo is undone all the same")
	flags.StringVar(&f.out, "out", "runs", "`folder` for run folders")
	flags.BoolVar(&f.keep, "keep", false, "hold everything open after the last phase: --pause-at restored")
	flags.BoolVar(&f.hostChanges, "allow-host-changes", false, "run variants that change settings of the machine")
	flags.BoolVar(&f.quiet, "quiet", false, "print only the outcome")
	flags.BoolVar(&f.json, "json", false, "print the verdict as JSON, and nothing else")
	flags.BoolVar(&f.all, "all", false, "run all scenarios")
	flags.StringSliceVar(&f.labels, "label", nil, "of these, or of all, only scenarios with this `label`\nor layer; may be given again, for any of them")
	flags.StringVar(&f.agreeWith, "agree-with", "", "hold what comes out against other runs, as relapse agree does:\na run folder, a suite's, or a folder of run folders")
	flags.IntVar(&f.jobs, "jobs", 7*runtime.NumCPU(), "labs at once in a suite")
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions(proxies, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("pause-at", completeFrom((*scenario.Scenario).Phases))
	_ = c.RegisterFlagCompletionFunc("variant", completeFrom(variants))
	_ = c.RegisterFlagCompletionFunc("label", completeLabels)
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
		f.timeout = forever
	}
	if err := f.check(); err != nil {
		return err
	}
	known := variants(s)
	switch {
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
	others, err := f.others(s.Metadata.ID)
	if err != nil {
		return err
	}
	if err := f.fit(c, s); err != nil {
		return err
	}
	f.chooseSeed()
	provider, err := f.provider(c.Context(), needed{proxy: f.proxy, nodes: s.Topology.Nodes, out: f.out, command: f.command(name), tell: f.tell(c)})
	if err != nil {
		return err
	}
	progress := newProgress(c.OutOrStdout(), f.quiet || f.json)
	progress.begin(s, f.seed)
	options := f.options(provider, name, s, source)
	options.PauseAt, options.Resume, options.Prompt = f.pauseAt, patient{c.InOrStdin()}, progress.prompt()
	options.Watch, options.Status = progress.watch, progress.status
	dir, verdict, err := session.Run(c.Context(), options, catalogue.All())
	err = errors.Join(err, closeProvider(c.Context(), provider))
	progress.end()
	if c.Context().Err() != nil {
		fmt.Fprintln(c.ErrOrStderr(), "relapse:", context.Cause(c.Context()))
	}
	if dir == "" {
		return err
	}
	outcome := verdict.Outcome
	if other := others[s.Metadata.ID]; other != "" {
		agreement, agreeErr := session.KeepAgreement(dir, other, catalogue.All())
		outcome, err = judge.Worst(outcome, agreement.Outcome), errors.Join(err, agreeErr)
	}
	if err = errors.Join(err, f.report(c, dir, verdict)); err != nil {
		if outcome == judge.Pass {
			return err
		}
		return coded{exitCode(outcome), err}
	}
	return byOutcome(outcome)
}

// others finds the runs that those of the scenarios are to be held against. They are looked up before anything runs: newer ones will come.
func (f *runFlags) others(ids ...string) (map[string]string, error) {
	if f.agreeWith == "" {
		return nil, nil
	}
	runs, err := session.Runs(f.agreeWith)
	if err != nil {
		return nil, usagef("--agree-with: %w", err)
	}
	if !slices.ContainsFunc(ids, func(id string) bool { return runs[id] != "" }) {
		return nil, usagef("--agree-with: %s has no run of %s; it has %s", f.agreeWith, strings.Join(ids, ", "), scenariosOf(runs))
	}
	return runs, nil
}

// args wants scenarios, or a choice of them.
func (f *runFlags) args(c *cobra.Command, args []string) error {
	if len(args) == 0 && !f.isSuite(args) {
		return usagef("%s wants a scenario: its id, or its file; or --all; see %[1]s --help", c.CommandPath())
	}
	return nil
}

// check refuses what no run can be given.
func (f *runFlags) check() error {
	switch {
	case f.clusterErr() != nil:
		return f.clusterErr()
	case !slices.Contains(proxies, f.proxy):
		return usagef("--proxy %s: there are nftables and iptables", f.proxy)
	case f.repeat < 0:
		return usage(errors.New("--repeat wants a number of attempts"))
	case f.timeout <= 0:
		return usage(errors.New("--timeout wants a time, such as 5m"))
	case f.jobs < 1:
		return usage(errors.New("--jobs wants a number of labs, 1 or more"))
	}
	return nil
}

// options are those of a run of the scenario that name stands for.
func (f *runFlags) options(provider clusters.Provider, name string, s *scenario.Scenario, source []byte) run.Options {
	o := run.Options{
		Scenario: s, Source: source, Provider: provider, Agent: filepath.Join(f.bin, "relapse-agent"), Proxy: f.proxy,
		Variants: f.variants, Repeat: f.repeat, Seed: f.seed, Timeout: f.timeout, Out: f.out, AllowHostChanges: f.hostChanges, Command: f.command(name),
	}
	if n := provider.AtOnce(); n > 0 {
		o.Slots = semaphore.NewWeighted(int64(n))
	}
	return o
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

// command is what a person would type to run this again.
func (f *runFlags) command(name string) []string {
	command := []string{"relapse", "run", name, "--proxy", f.proxy}
	switch there, onKind := f.onKind(); {
	case there != "":
		command = append(command, "--cluster", f.cluster)
	case onKind:
		command = append(command, f.kindCommand()...)
	}
	if f.pauseAt != "" {
		command = append(command, "--pause-at", f.pauseAt)
	}
	for _, v := range f.variants {
		command = append(command, "--variant", v)
	}
	if f.repeat > 0 {
		command = append(command, "--repeat", fmt.Sprint(f.repeat))
	}
	usual := defaultTimeout
	if f.pauseAt != "" {
		usual = forever
	}
	if f.timeout != usual {
		command = append(command, "--timeout", f.timeout.String())
	}
	if f.hostChanges {
		command = append(command, "--allow-host-changes")
	}
	if f.agreeWith != "" {
		command = append(command, "--agree-with", f.agreeWith)
	}
	return append(command, "--seed", fmt.Sprint(f.seed))
}

// kindCommand is the part of it that says what cluster to make.
func (f *clusterFlags) kindCommand() []string {
	command := []string{"--cluster", f.cluster, "--cni", f.cni}
	if f.image != "" {
		command = append(command, "--node-image", f.image)
	}
	if f.images != "" {
		command = append(command, "--images", f.images)
	}
	if f.allowEgress {
		command = append(command, "--allow-egress")
	}
	return command
}

// tell returns what tells a person how far the making of a cluster is, a line for each step.
func (f *runFlags) tell(c *cobra.Command) func(doing string) {
	begun := time.Now()
	return func(doing string) {
		if !f.quiet && !f.json {
			fmt.Fprintf(c.OutOrStdout(), "%7s  %s: %s\n", fmt.Sprintf("%.1fs", time.Since(begun).Seconds()), f.cluster, doing)
		}
	}
}

func (f *runFlags) chooseSeed() {
	if f.seed == 0 {
		f.seed = rand.Uint64N(1<<53) + 1
	}
}

// report tells what came out.
func (f *runFlags) report(c *cobra.Command, dir string, verdict judge.Verdict) error {
	out := c.OutOrStdout()
	data, err := session.Data(dir, catalogue.All())
	if err != nil {
		return err
	}
	if summary := os.Getenv("GITHUB_STEP_SUMMARY"); summary != "" {
		if err := appendFile(summary, reports.Markdown(data)); err != nil {
			return err
		}
	}
	switch {
	case f.json:
		return printJSON(out, verdict)
	case f.quiet:
		if a := data.Agreement; a != nil {
			fmt.Fprintf(out, "%s: held against %s: %s: %s\n", verdict.Scenario, a.Runs[1].Name, a.Outcome, a.Reason)
		}
		_, err := fmt.Fprintf(out, "%s: %s: %s (%s)\n", verdict.Scenario, verdict.Outcome, strings.Join(strings.Fields(verdict.Reason), " "), filepath.Join(dir, rundir.ReportFile))
		return err
	}
	return reports.Terminal(out, data, width(out), colored(out))
}

func appendFile(path string, text []byte) error {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
