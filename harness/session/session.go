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
	"github.com/relapse-k8s/relapse/reports"
)

// Judge judges a run folder from what is on disk, and writes nothing. A folder without a history is one of a run that was
// skipped, or crashed at its start.
func Judge(dir string, cat scenario.Catalogues) (*scenario.Scenario, judge.Verdict, error) {
	var run rundir.Run
	if err := rundir.ReadJSON(dir, rundir.RunFile, &run); err != nil {
		return nil, judge.Verdict{}, fmt.Errorf("%s is no run folder: %w", dir, err)
	}
	path := filepath.Join(dir, rundir.ScenarioFile)
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, judge.Verdict{}, err
	}
	s, err := scenario.Parse(path, source, cat)
	if err != nil {
		return nil, judge.Verdict{}, err
	}
	events, err := history.Read(filepath.Join(dir, rundir.HistoryFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, judge.Verdict{}, err
	}
	return s, judge.Judge(s, run, events), nil
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

// Data reads a run folder for the reports. Its scenario may be one that this relapse does not understand any more.
func Data(dir string, cat scenario.Catalogues) (reports.Data, error) {
	path := filepath.Join(dir, rundir.ScenarioFile)
	source, err := os.ReadFile(path)
	var s *scenario.Scenario
	if err == nil {
		s, err = scenario.Parse(path, source, cat)
	}
	data, readErr := reports.FromDir(dir, s)
	if err != nil {
		data.Problems = append(data.Problems, fmt.Sprintf("The scenario could not be read: %v.", err))
	}
	return data, readErr
}
