package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/reports"
)

// Runs finds the run folders that a path stands for, by scenario: a run folder, a suite's, or a folder of run folders with the last of each
// scenario. Links are followed, so that what is found stays the same when newer runs come. If a suite lists a
// scenario but has no run of it, the folder is empty.
func Runs(path string) (map[string]string, error) {
	dir, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	var run rundir.Run
	if err := rundir.ReadJSON(dir, rundir.RunFile, &run); !errors.Is(err, fs.ErrNotExist) {
		return map[string]string{run.Scenario: dir}, err
	}
	var suite reports.Suite
	if err := rundir.ReadJSON(dir, reports.SuiteFile, &suite); !errors.Is(err, fs.ErrNotExist) {
		runs := map[string]string{}
		for _, s := range suite.Scenarios {
			runs[s.Scenario] = ""
			switch {
			case s.Run == "":
			case filepath.IsLocal(filepath.Join("suite", filepath.Base(dir), s.Run)):
				runs[s.Scenario] = filepath.Join(dir, s.Run)
			default:
				return nil, fmt.Errorf("%s: %q is not a run beside the suite", filepath.Join(dir, reports.SuiteFile), s.Run)
			}
		}
		return runs, err
	}
	return lastRuns(path, dir)
}

// lastRuns follows the links that runs have left in OUT/latest.
func lastRuns(path, dir string) (map[string]string, error) {
	if latest := filepath.Join(dir, "latest"); isFolder(latest) {
		dir = latest
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	runs := map[string]string{}
	for _, entry := range entries {
		target, err := filepath.EvalSymlinks(filepath.Join(dir, entry.Name()))
		if err != nil || !isFolder(target) {
			continue // a run that was thrown away
		}
		var run rundir.Run
		if rundir.ReadJSON(target, rundir.RunFile, &run) == nil {
			runs[run.Scenario] = target
		}
	}
	if len(runs) == 0 {
		return nil, notRun(path, fs.ErrNotExist)
	}
	return runs, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
