package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/reports"
)

// Results reads what is worth keeping of a run folder. What of it cannot be read, other than run.json and verdict.json, is a problem, and
// the rest is returned.
func Results(dir, host string, cat scenario.Catalogues) ([]results.Result, []results.Problem, error) {
	name, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	f := results.Folder{Name: filepath.Base(name), Host: host}
	if err := rundir.ReadJSON(dir, rundir.RunFile, &f.Run); err != nil {
		return nil, nil, notRun(dir, err)
	}
	var problems []results.Problem
	problem := func(file string, err error) {
		if err != nil {
			problems = append(problems, results.Problem{File: filepath.Join(dir, file), What: err.Error()})
		}
	}
	path, source, err := rundir.ReadScenario(dir)
	if err == nil {
		f.Scenario, err = load.Recorded(path, source, cat)
	}
	problem(rundir.ScenarioFile, err)
	if f.Events, err = history.Read(filepath.Join(dir, rundir.HistoryFile)); !errors.Is(err, fs.ErrNotExist) {
		problem(rundir.HistoryFile, err)
	}
	var verdict judge.Verdict
	switch err := rundir.ReadJSON(dir, rundir.VerdictFile, &verdict); {
	case err == nil:
		f.Verdict = &verdict
	case !errors.Is(err, fs.ErrNotExist):
		return nil, problems, err
	}
	list, err := results.Distil(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", dir, err)
	}
	return list, problems, err
}

// maxDepth is how deep run folders are looked for, and maxFolders how many folders are looked at.
const (
	maxDepth   = 4
	maxFolders = 100_000
)

// Folders lists the run folders that a path stands for: a run folder, those of a suite, or all in a folder and in its folders, in the order
// of their names. Links inside the folder are not followed.
func Folders(ctx context.Context, path string) ([]string, error) {
	dir, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	if has(dir, rundir.RunFile) {
		return []string{dir}, nil
	}
	if has(dir, reports.SuiteFile) {
		runs, err := Runs(dir)
		var list []string
		for _, run := range runs {
			if run != "" {
				list = append(list, run)
			}
		}
		slices.Sort(list)
		return list, err
	}
	var list []string
	left := maxFolders
	err = walk(ctx, dir, 0, &left, &list)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s is no run folder, suite or store, and has no run folders in it", path)
	}
	return list, err
}

func walk(ctx context.Context, dir string, depth int, left *int, list *[]string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if *left--; *left < 0 {
		return fmt.Errorf("%s: more than %d folders", dir, maxFolders)
	}
	if has(dir, rundir.RunFile) {
		*list = append(*list, dir)
		return nil
	}
	if depth == maxDepth {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := walk(ctx, filepath.Join(dir, e.Name()), depth+1, left, list); err != nil {
				return err
			}
		}
	}
	return nil
}

func has(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}
