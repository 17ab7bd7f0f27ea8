// Package session concludes a run: it judges the run folder and writes the verdict and the reports into it.
package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
	"github.com/relapse-k8s/relapse/reports"
)

// Judge judges a run folder and writes nothing. A folder has no history if the run was skipped, or crashed at its start.
func Judge(dir string, cat scenario.Catalogues) (*scenario.Scenario, judge.Verdict, error) {
	var run rundir.Run
	if err := rundir.ReadJSON(dir, rundir.RunFile, &run); err != nil {
		return nil, judge.Verdict{}, notRun(dir, err)
	}
	path, source, err := rundir.ReadScenario(dir)
	if err != nil {
		return nil, judge.Verdict{}, err
	}
	s, err := load.Recorded(path, source, cat)
	if err != nil {
		return nil, judge.Verdict{}, err
	}
	events, err := history.Read(filepath.Join(dir, rundir.HistoryFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, judge.Verdict{}, err
	}
	return s, judge.Judge(s, run, events), nil
}

// notRun says that a folder is not a run folder, if that is the error of reading it.
func notRun(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is not a run folder: it has no %s. The last run of a scenario is runs/latest/ID", path, rundir.RunFile)
	}
	return err
}

// Conclude judges a run folder and writes verdict.json and the reports.
func Conclude(dir string, cat scenario.Catalogues) (judge.Verdict, error) {
	s, verdict, err := Judge(dir, cat)
	if err != nil {
		return verdict, err
	}
	if err := rundir.WriteJSON(dir, rundir.VerdictFile, verdict); err != nil {
		return verdict, err
	}
	data, err := reports.FromDir(dir, s)
	if err != nil {
		return verdict, err
	}
	return verdict, reports.Write(dir, data)
}

// Data reads a run folder for the reports. Its scenario may be in a form that this relapse no longer reads.
func Data(dir string, cat scenario.Catalogues) (reports.Data, error) {
	path, source, err := rundir.ReadScenario(dir)
	var s *scenario.Scenario
	if err == nil {
		s, err = load.Recorded(path, source, cat)
	}
	data, readErr := reports.FromDir(dir, s)
	readErr = notRun(dir, readErr)
	if err != nil {
		data.Problems = append(data.Problems, fmt.Sprintf("The scenario could not be read: %v.", err))
	}
	return data, readErr
}
