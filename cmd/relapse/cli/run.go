package cli

import (
	"cmp"
	"context"
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
	"golang.org/x/sync/semaphore"

	"github.com/relapse-k8s/relapse/clusters"
	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/kind/cni"
	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/cmd/relapse/suite"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// proxies are the modes of kube-proxy that scenarios run with.
var proxies = []string{"nftables", "iptables"}

// defaultTimeout is the time limit of a run.
const defaultTimeout = 5 * time.Minute

// forever is the time limit of a run that a person may pause: people take their time.
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
	shard, times                   string
}

func newRun() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run ID|FILE... | --all",
		Short: "Run scenarios and write their reports",
		Long: `Run takes a scenario through its phases: baseline, fault, each remedy and its
withdrawal, controls, restored. Each remedy and each control is a lane: it goes
through the phases in a lab of its own, in parallel to the others. On kind, each
has workers and a namespace of its own in one cluster. If you are not root, the
run takes place in a user namespace.

Everything that was seen is kept in a run folder: history.jsonl, evidence/,
verdict.json, report.html, junit.xml. OUT/latest/ID links to the last one; OUT is
--out. If GITHUB_STEP_SUMMARY is set, a summary is appended to that file.

The first Ctrl-C ends the run and undoes everything. The second ends it at once;
the guard, a process that outlives the run, then undoes what is left.

--pause-at pauses the first lane that reaches the end of the phase until you
press Enter, and prints how to enter its nodes and pods. Lanes then run one after
another; --variant makes this quicker. If stdin is closed, only Ctrl-C ends the
pause, and the run with it. --keep is short for --pause-at restored: the fault is
undone, but nothing is torn down yet. With either flag there is no time limit,
unless you set --timeout.

Several scenarios, --all of them, or those with a --label run as a suite. A suite
runs up to --jobs lanes at a time. Then exclusive scenarios run one by one. Lanes
that change the machine run last, alone. OUT/suite/TIME has one page for all
reports (index.html), junit.xml and suite.json; OUT/latest/suite links to it. The
exit code is that of the worst outcome, and 4 only if all are skipped.

--shard 2/8 runs the second of eight parts of the suite, which take about the
same time. Every scenario is in one part, and the same on every machine that has
this version of relapse and gives the same flags. --times names a store of
results (relapse history), by which parts are balanced; every machine must have
the same one. Without it, times are estimated from the scenarios' files.

--agree-with compares each run with an earlier one of the same scenario, as
relapse agree does. The result is in agreement.json and in the reports. If the
two differ and the scenario does not explain why, the exit code is 1.

` + exitCodes,
		Example: `  relapse run dns-5s
  relapse run dns-5s --variant forced --repeat 100
  relapse run dns-5s --variant forced --pause-at fault
  relapse run conntrack-exhaustion --allow-host-changes
  relapse run ./my-failure.yaml --proxy iptables
  relapse run --all
  relapse run --label conntrack
  relapse run --all --shard 2/8
  relapse run --all --proxy iptables --agree-with runs/latest/suite
  relapse run dns-5s --json | jq .outcome`,
		Args: f.args, ValidArgsFunction: completeIDs,
		RunE: func(c *cobra.Command, args []string) error {
			if f.isSuite(args) {
				return f.runSuite(c, args)
			}
			if f.shard != "" || f.times != "" {
				return usage(errors.New("--shard divides a suite: use it with --all, --label or several scenarios"))
			}
			return f.run(c, args[0])
		},
	}
	flags := c.Flags()
	f.clusterFlags.add(c)
	flags.StringVar(&f.proxy, "proxy", "nftables", "kube-proxy mode, nftables or iptables; with --cni\ncilium also none; with kind/NAME, the default is that\ncluster's mode")
	flags.StringSliceVar(&f.variants, "variant", nil, "run only this `variant`; can be repeated")
	flags.IntVar(&f.repeat, "repeat", 0, fmt.Sprintf("how many attempts the symptom's probe makes in\neach phase, up to %d; more attempts give a more precise\nrate", plan.MaxRepeat))
	flags.StringVar(&f.pauseAt, "pause-at", "", "pause at the end of this `phase` until Enter")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of all random choices; 0 means a random seed")
	flags.DurationVar(&f.timeout, "timeout", defaultTimeout, "time limit of the run, or in a suite of each lane;\nundoing is not cut short by it")
	flags.StringVar(&f.out, "out", "runs", "`folder` for run folders")
	flags.BoolVar(&f.keep, "keep", false, "pause after the last phase, before the cluster is\nremoved; same as --pause-at restored")
	flags.BoolVar(&f.hostChanges, "allow-host-changes", false, "also run variants that change settings of the\nwhole machine")
	flags.BoolVar(&f.quiet, "quiet", false, "print only the outcome")
	flags.BoolVar(&f.json, "json", false, "print only the verdict, as JSON")
	flags.BoolVar(&f.all, "all", false, "run all scenarios")
	flags.StringSliceVar(&f.labels, "label", nil, "run only scenarios with this `label` or layer, also of\nthose that you name; if repeated, with any of them")
	flags.StringVar(&f.shard, "shard", "", "run only part `K/N` of the suite, such as 2/8")
	flags.StringVar(&f.times, "times", "", "with --shard: balance by the times in this `store` of\nresults")
	flags.StringVar(&f.agreeWith, "agree-with", "", "compare with this earlier run, suite, or `folder` of\nrun folders, as relapse agree does")
	flags.IntVar(&f.jobs, "jobs", suite.Lanes(), "how many lanes run at a time in a suite; on kind also in\na run, but by default at most "+fmt.Sprint(kind.Lanes()))
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions(proxies, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("pause-at", completeFrom((*scenario.Scenario).Phases))
	_ = c.RegisterFlagCompletionFunc("variant", completeFrom(variants))
	_ = c.RegisterFlagCompletionFunc("label", completeLabels)
	return c
}

func (f *runFlags) run(c *cobra.Command, name string) error {
	s, source, err := load(name, f.target())
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
	switch {
	case f.keep && f.pauseAt != "restored":
		return usage(errors.New("--keep and --pause-at cannot be combined: --keep means --pause-at restored"))
	case f.pauseAt != "":
		err = oneOf("pause-at", f.pauseAt, s.Phases())
	}
	for _, v := range f.variants {
		err = cmp.Or(err, oneOf("variant", v, variants(s)))
	}
	if err != nil {
		return err
	}
	others, err := f.others(s.Metadata.ID)
	if err != nil {
		return err
	}
	if err := f.fit(c, s); err != nil {
		return err
	}
	f.chooseSeed()
	provider, err := f.provider(c.Context(), needed{proxy: f.proxy, nodes: s.Topology.Nodes, lanes: f.lanes(c, s), out: f.out, command: f.oneCommand(name), tell: f.tell(c)})
	if err != nil {
		return err
	}
	progress := newProgress(c.OutOrStdout(), f.quiet || f.json)
	progress.begin(s, f.seed)
	options := f.options(provider, name, s, source)
	options.PauseAt, options.Resume, options.Prompt = f.pauseAt, endless{c.InOrStdin()}, progress.prompt()
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

// lanes is how many lanes of the scenarios run side by side on a cluster that they share.
func (f *runFlags) lanes(c *cobra.Command, list ...*scenario.Scenario) int {
	n := 0
	for _, s := range list {
		if s.Topology.Exclusive { // its lanes have the whole cluster, one after the other
			n = max(n, 1)
			continue
		}
		for i := range s.Variants {
			v := &s.Variants[i]
			if len(f.variants) == 0 || slices.Contains(f.variants, v.ID) {
				n += len(plan.Lanes(s, v, false))
			}
		}
	}
	if f.pauseAt != "" {
		return 1
	}
	if c.Flags().Changed("jobs") {
		return min(n, f.jobs)
	}
	return min(n, kind.Lanes())
}

// others finds the runs to compare with. They are looked up before anything runs, so that no run is compared with itself.
func (f *runFlags) others(ids ...string) (map[string]string, error) {
	if f.agreeWith == "" {
		return nil, nil
	}
	runs, err := session.Runs(f.agreeWith)
	if err != nil {
		return nil, usagef("--agree-with: %w", err)
	}
	if !slices.ContainsFunc(ids, func(id string) bool { return runs[id] != "" }) {
		return nil, usagef("--agree-with: %s has no run of %s; it has runs of %s", f.agreeWith, strings.Join(ids, ", "), scenariosOf(runs))
	}
	return runs, nil
}

// args requires scenarios, or flags that select some.
func (f *runFlags) args(c *cobra.Command, args []string) error {
	if len(args) == 0 && !f.isSuite(args) {
		return usagef("%s needs a scenario (an id or a file), --label or --all; see %[1]s --help", c.CommandPath())
	}
	return nil
}

// check refuses values that are invalid for every scenario.
func (f *runFlags) check() error {
	switch {
	case f.repeat < 0 || f.repeat > plan.MaxRepeat:
		return usagef("invalid --repeat %d: must be from 0 to %d", f.repeat, plan.MaxRepeat)
	case f.timeout <= 0:
		return usagef("invalid --timeout %s: must be greater than 0, such as 5m", f.timeout)
	case f.jobs < 1:
		return usagef("invalid --jobs %d: must be at least 1", f.jobs)
	}
	return cmp.Or(f.clusterErr(), oneOf("proxy", f.proxy, f.possibleModes()))
}

// possibleModes are the modes that --proxy can ask for. What an existing cluster has is looked up later.
func (f *runFlags) possibleModes() []string {
	if name, _ := f.onKind(); name != "" {
		return append(slices.Clone(proxies), "none")
	}
	return modes(f.cni)
}

// modes are kube-proxy's modes that scenarios run with: also none if the CNI does its work.
func modes(name string) []string {
	if plugin, err := cni.Find(name); err == nil && plugin.ReplacesProxy {
		return append(slices.Clone(proxies), "none")
	}
	return proxies
}

// options returns the options of one run; name is how the scenario was given on the command line.
func (f *runFlags) options(provider clusters.Provider, name string, s *scenario.Scenario, source []byte) run.Options {
	o := run.Options{
		Scenario: s, Source: source, Provider: provider, Agent: filepath.Join(f.bin, "relapse-agent"), Proxy: f.proxy,
		Variants: f.variants, Repeat: f.repeat, Seed: f.seed, Timeout: f.timeout, Out: f.out, AllowHostChanges: f.hostChanges, Command: f.oneCommand(name),
	}
	if n := provider.AtOnce(); n > 0 {
		o.Slots = semaphore.NewWeighted(int64(n))
	}
	return o
}

// endless is standard input that blocks at its end: a closed stdin must not end a pause as Enter does.
type endless struct{ io.Reader }

func (e endless) Read(buffer []byte) (int, error) {
	n, err := e.Reader.Read(buffer)
	if n == 0 && err != nil {
		select {} // until the process ends
	}
	return n, nil
}

// command is the command line that starts this run again.
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

// oneCommand is the command that runs one scenario again, with as many lanes side by side.
func (f *runFlags) oneCommand(name string) []string {
	command := f.command(name)
	if _, onKind := f.onKind(); onKind && f.jobs != suite.Lanes() {
		command = append(command, "--jobs", fmt.Sprint(f.jobs))
	}
	return command
}

// kindCommand is the part of the command that describes the kind cluster to create.
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
	if f.anyObject {
		command = append(command, "--allow-any-object")
	}
	return command
}

// tell returns a function that prints a progress line for each step of creating a cluster.
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

// report prints the result of a run.
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
			fmt.Fprintf(out, "%s: compared with %s: %s: %s\n", verdict.Scenario, a.Runs[1].Name, a.Outcome, a.Reason)
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
