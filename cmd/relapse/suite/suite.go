// Package suite runs many scenarios as one: several clusters at once, and one page over all reports.
package suite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/relapse-k8s/relapse/cmd/relapse/session"
	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// Folder is where in OUT the folders of suites are.
const Folder = "suite"

// Options are how to run a suite.
type Options struct {
	// Runs are the scenarios with all that a run of one alone would be given.
	Runs []run.Options
	// Catalogues are what the scenarios may name, for the judge.
	Catalogues scenario.Catalogues
	// Jobs is how many clusters there may be at once.
	Jobs int
	// Out is the folder that holds the run folders.
	Out string
	// AgreeWith, if not empty, is where other runs of the scenarios are, and Others their folders, by scenario.
	AgreeWith string
	Others    map[string]string
	// Shard is which part of a larger suite these runs are; nil if they are all of it.
	Shard *reports.Shard
	// Command is what a person would type to run this again.
	Command []string
	// Watch is called as the scenarios progress.
	Watch Watcher
}

// Watcher shows the progress of the scenarios of a suite. It is called by several goroutines at once.
type Watcher interface {
	// Begin is called when a scenario begins, End when it has been judged.
	Begin(s *scenario.Scenario)
	End(result reports.SuiteRun)
	// Event and Status are those of a run's lanes.
	Event(s *scenario.Scenario, e history.Event)
	Status(s *scenario.Scenario, lane, doing string)
}

// Run runs the scenarios and writes the suite's folder, whose path it returns.
func Run(ctx context.Context, o Options) (reports.Suite, error) {
	start := time.Now()
	first := o.Runs[0]
	s := reports.Suite{
		Start: start.Format(time.RFC3339Nano), Command: o.Command, Cluster: first.Provider.Name(), Proxy: first.Proxy, Seed: first.Seed, Jobs: o.Jobs, Shard: o.Shard, AgreeWith: o.AgreeWith,
		Scenarios: make([]reports.SuiteRun, len(o.Runs)),
	}
	var err error
	if s.Dir, err = rundir.MakeFolder(filepath.Join(o.Out, Folder), start.Format("20060102-150405")); err != nil {
		return s, err
	}
	InTurns(ctx, o.Jobs, o.Runs, func(i int, options run.Options) {
		s.Scenarios[i] = o.one(ctx, options)
		o.Watch.End(s.Scenarios[i])
	})
	s.Outcome = worst(s.Scenarios)
	for i := range s.Scenarios {
		err = errors.Join(err, relative(s.Dir, &s.Scenarios[i]))
	}
	s.Took = time.Since(start).Seconds()
	return s, errors.Join(err, reports.WriteSuite(s), session.Latest(o.Out, Folder, s.Dir))
}

// one runs one scenario.
func (o Options) one(ctx context.Context, options run.Options) reports.SuiteRun {
	s := options.Scenario
	result := reports.SuiteRun{Scenario: s.Metadata.ID, Title: s.Metadata.Title}
	if ctx.Err() != nil {
		result.Outcome, result.Reason = judge.Inconclusive, fmt.Sprintf("not started: %v", context.Cause(ctx))
		return result
	}
	o.Watch.Begin(s)
	options.Watch = func(e history.Event) { o.Watch.Event(s, e) }
	options.Status = func(lane, doing string) { o.Watch.Status(s, lane, doing) }
	start := time.Now()
	dir, verdict, err := session.Run(ctx, options, o.Catalogues)
	result.Took = time.Since(start).Seconds()
	result.Outcome, result.Reason, result.Run, result.Claims = verdict.Outcome, verdict.Reason, dir, reports.Count(verdict.Claims)
	if dir != "" {
		var agreeErr error
		result.Agreement, agreeErr = o.agreement(s.Metadata.ID, dir)
		err = errors.Join(err, agreeErr)
		data, dataErr := session.Data(dir, o.Catalogues)
		if dataErr == nil {
			result.Data = &data
		}
		err = errors.Join(err, dataErr)
	}
	if err != nil {
		result.Error = err.Error()
		result.Outcome = judge.Worst(result.Outcome, judge.Inconclusive)
	}
	return result
}

// agreement compares a run with the other one of its scenario, if one was named.
func (o Options) agreement(id, dir string) (*agree.Agreement, error) {
	other, named := o.Others[id]
	switch {
	case !named:
		return nil, nil
	case other == "":
		missing := agree.Missing(id, [2]string{dir}, judge.Inconclusive, o.AgreeWith+" lists it but has no run of it")
		return &missing, nil
	}
	agreement, err := session.KeepAgreement(dir, other, o.Catalogues)
	if err != nil {
		return nil, err
	}
	return &agreement, nil
}

// worst is the worst outcome of all scenarios, and of how they agree with other runs.
func worst(runs []reports.SuiteRun) judge.Outcome {
	outcome := judge.Skipped
	for _, r := range runs {
		outcome = judge.Worst(outcome, r.Outcome)
		if r.Agreement != nil {
			outcome = judge.Worst(outcome, r.Agreement.Outcome)
		}
	}
	return outcome
}

// relative makes the path of a run folder relative to the suite's.
func relative(from string, r *reports.SuiteRun) error {
	if r.Run == "" {
		return nil
	}
	var err error
	r.Run, err = filepath.Rel(from, r.Run)
	return err
}
