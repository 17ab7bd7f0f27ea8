package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/relapse-k8s/relapse/cmd/relapse/catalogue"
	"github.com/relapse-k8s/relapse/cmd/relapse/suite"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
	"github.com/relapse-k8s/relapse/scenarios"
)

// isSuite is whether the command line selects scenarios for a suite, and not a single one.
func (f *runFlags) isSuite(args []string) bool { return f.all || len(f.labels) > 0 || len(args) > 1 }

// chosen is a scenario that the suite runs.
type chosen struct {
	name     string
	scenario *scenario.Scenario
	source   []byte
}

func (f *runFlags) runSuite(c *cobra.Command, args []string) error {
	for _, flag := range []string{"variant", "pause-at", "keep"} {
		if c.Flags().Changed(flag) {
			return usagef("--%s cannot be used in a suite: it needs exactly one scenario", flag)
		}
	}
	if err := f.check(); err != nil {
		return err
	}
	list, err := f.choose(args)
	if err != nil {
		return err
	}
	list, shard, err := f.own(c.Context(), list)
	if err != nil {
		return err
	}
	var ids []string
	var wanted []*scenario.Scenario
	for _, one := range list {
		ids, wanted = append(ids, one.scenario.Metadata.ID), append(wanted, one.scenario)
	}
	others, err := f.others(ids...)
	if err != nil {
		return err
	}
	if err := f.fit(c, wanted...); err != nil {
		return err
	}
	f.chooseSeed()
	nodes := 1
	for _, one := range list {
		nodes = max(nodes, one.scenario.Topology.Nodes)
	}
	provider, err := f.provider(c.Context(), needed{proxy: f.proxy, nodes: nodes, lanes: f.lanes(c, wanted...), out: f.out, command: f.suiteCommand(args), tell: f.tell(c)})
	if err != nil {
		return err
	}
	if n := provider.AtOnce(); n > 0 {
		f.jobs = n
	}
	progress := newSuiteProgress(c.OutOrStdout(), f.quiet || f.json, list)
	options := suite.Options{Catalogues: catalogue.All(), Jobs: f.jobs, Out: f.out, Command: f.suiteCommand(args), Watch: progress, Shard: shard, AgreeWith: f.agreeWith, Others: others}
	for _, one := range list {
		options.Runs = append(options.Runs, f.options(provider, one.name, one.scenario, one.source))
	}
	progress.begin(f.seed, f.jobs, shard)
	result, err := suite.Run(c.Context(), options)
	err = errors.Join(err, closeProvider(c.Context(), provider))
	progress.end()
	if c.Context().Err() != nil {
		fmt.Fprintln(c.ErrOrStderr(), "relapse:", context.Cause(c.Context()))
	}
	if err = errors.Join(err, f.suiteReport(c, result)); err != nil {
		return coded{exitCode(judge.Worst(result.Outcome, judge.Inconclusive)), err}
	}
	return byOutcome(result.Outcome)
}

// choose loads the named scenarios, or all, and keeps those with any of the labels.
func (f *runFlags) choose(args []string) ([]chosen, error) {
	if f.all && len(args) > 0 {
		return nil, usage(errors.New("--all cannot be combined with the names of scenarios"))
	}
	names := args
	if len(names) == 0 {
		var err error
		if names, err = scenarios.IDs(); err != nil {
			return nil, err
		}
	}
	var list []chosen
	var known []string
	for _, name := range names {
		s, source, err := load(name, f.target())
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(other chosen) bool { return other.scenario.Metadata.ID == s.Metadata.ID }) {
			return nil, usagef("scenario %s is given twice", s.Metadata.ID)
		}
		own := append([]string{s.Metadata.Layer}, s.Metadata.Labels...)
		known = append(known, own...)
		if len(f.labels) == 0 || slices.ContainsFunc(f.labels, func(label string) bool { return slices.Contains(own, label) }) {
			list = append(list, chosen{name, s, source})
		}
	}
	if len(list) == 0 {
		slices.Sort(known)
		return nil, usagef("unknown label %q: must be one of %s", strings.Join(f.labels, ", "), strings.Join(slices.Compact(known), ", "))
	}
	return list, nil
}

// suiteCommand is the command that runs this suite again.
func (f *runFlags) suiteCommand(args []string) []string {
	one := f.command("--all")
	if len(args) > 0 {
		one = slices.Concat(one[:2], args, one[3:])
	}
	for _, label := range f.labels {
		one = append(one, "--label", label)
	}
	if f.shard != "" {
		one = append(one, "--shard", f.shard)
	}
	if f.times != "" {
		one = append(one, "--times", f.times)
	}
	return append(one, "--jobs", fmt.Sprint(f.jobs))
}

// suiteReport prints the result of a suite.
func (f *runFlags) suiteReport(c *cobra.Command, result reports.Suite) error {
	if summary := os.Getenv("GITHUB_STEP_SUMMARY"); summary != "" {
		if err := appendFile(summary, reports.SuiteMarkdown(result)); err != nil {
			return err
		}
	}
	out := c.OutOrStdout()
	if f.json {
		return printJSON(out, result)
	}
	return reports.SuiteTerminal(out, result, width(out), colored(out))
}

// completeLabels completes the labels and layers of all scenarios.
func completeLabels(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	ids, err := scenarios.IDs()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var labels []string
	for _, id := range ids {
		if s, _, err := load(id, target{}); err == nil {
			labels = append(append(labels, s.Metadata.Layer), s.Metadata.Labels...)
		}
	}
	slices.Sort(labels)
	return slices.Compact(labels), cobra.ShellCompDirectiveNoFileComp
}
