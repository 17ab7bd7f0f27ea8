package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/catalogue"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
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
		Long: `Run takes one scenario through its phases: baseline, fault, each remedy and its withdrawal, controls, restored. Remedies
run side by side, each in a lab of its own. What was seen is kept in a run folder, with verdict.json and report.html.

` + exitCodes,
		Example: `  relapse run dns-5s
  relapse run dns-5s --variant forced --repeat 100
  relapse run dns-5s --pause-at fault          hold the failure open, look around, press Enter
  relapse run conntrack-exhaustion --allow-host-changes
  relapse run ./my-failure.yaml --proxy iptables`,
		Args: exactly(1, "one scenario: its id, or its file"), ValidArgsFunction: completeIDs,
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.cluster, "cluster", "lab", "where to run: lab")
	flags.StringVar(&f.proxy, "proxy", "nftables", "kube-proxy's mode: nftables or iptables")
	flags.StringSliceVar(&f.variants, "variant", nil, "run only these variants")
	flags.IntVar(&f.repeat, "repeat", 0, "attempts of the symptom's probe in each phase, for a reproduction rate")
	flags.StringVar(&f.pauseAt, "pause-at", "", "hold the world open at the end of this phase until Enter")
	flags.Uint64Var(&f.seed, "seed", 0, "seed of every random choice; 0 chooses one")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "limit of the whole run")
	flags.StringVar(&f.out, "out", "runs", "folder for run folders")
	flags.BoolVar(&f.keep, "keep", false, "hold the world open after the last phase, as --pause-at restored")
	flags.BoolVar(&f.hostChanges, "allow-host-changes", false, "run variants that change a setting of the whole machine")
	flags.BoolVar(&f.quiet, "quiet", false, "print only the outcome")
	flags.BoolVar(&f.json, "json", false, "print the verdict as JSON, and nothing else")
	_ = c.RegisterFlagCompletionFunc("proxy", cobra.FixedCompletions([]string{"nftables", "iptables"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("pause-at", completePhases)
	return c
}

func completePhases(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	s, _, err := load(args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	return s.Phases(), cobra.ShellCompDirectiveNoFileComp
}

func (f *runFlags) run(c *cobra.Command, name string) error {
	s, source, err := load(name)
	if err != nil {
		return err
	}
	if f.keep && f.pauseAt == "" {
		f.pauseAt = "restored"
	}
	var known []string
	for _, v := range s.Variants {
		known = append(known, v.ID)
	}
	switch {
	case f.cluster != "lab":
		return usage(fmt.Errorf("--cluster %s: there is lab", f.cluster))
	case f.proxy != "nftables" && f.proxy != "iptables":
		return usage(fmt.Errorf("--proxy %s: there are nftables and iptables", f.proxy))
	case f.repeat < 0:
		return usage(errors.New("--repeat wants a number of attempts"))
	case f.pauseAt != "" && !slices.Contains(s.Phases(), f.pauseAt):
		return usage(fmt.Errorf("--pause-at %s: the phases of %s are %s", f.pauseAt, s.Metadata.ID, strings.Join(s.Phases(), ", ")))
	}
	for _, v := range f.variants {
		if !slices.Contains(known, v) {
			return usage(fmt.Errorf("--variant %s: the variants of %s are %s", v, s.Metadata.ID, strings.Join(known, ", ")))
		}
	}
	if err := enterUserNamespace(c.Context()); err != nil {
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
		Variants: f.variants, Repeat: f.repeat, PauseAt: f.pauseAt, Resume: c.InOrStdin(), Prompt: progress.prompt(), Seed: f.seed,
		Timeout: f.timeout, Out: f.out, AllowHostChanges: f.hostChanges, Command: f.command(name), Watch: progress.watch, Status: progress.status,
	})
	progress.end()
	if dir == "" {
		return err
	}
	verdict, concludeErr := session.Conclude(dir, catalogue.All())
	if concludeErr != nil {
		return errors.Join(err, concludeErr)
	}
	return errors.Join(err, f.report(c, dir, verdict), byOutcome(verdict.Outcome))
}

// command is what a person would type to run this again.
func (f *runFlags) command(name string) []string {
	command := []string{"relapse", "run", name, "--proxy", f.proxy}
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
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(verdict)
	case f.quiet:
		_, err := fmt.Fprintf(out, "%s: %s: %s (%s)\n", verdict.Scenario, verdict.Outcome, verdict.Reason, filepath.Join(dir, "report.html"))
		return err
	}
	return reports.Terminal(out, data, width(out), isTerminal(out))
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

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// width of the terminal, or 80.
func width(w any) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 20 {
			return columns
		}
	}
	return 80
}
