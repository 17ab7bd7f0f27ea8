// Package reports turns a run folder into what people and machines read: one HTML page, JUnit XML, Markdown and text for a
// terminal. It reads the record of a run and nothing else: it neither judges nor touches a cluster.
package reports

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Data is all that reports are made of.
type Data struct {
	// Dir is the run folder as the caller named it; reports print it and never open it.
	Dir      string
	Run      rundir.Run
	Scenario *scenario.Scenario
	Events   []history.Event
	Verdict  judge.Verdict
	Evidence []EvidenceFile
	// Agreement is there where the run was held against another.
	Agreement *agree.Agreement
	// Crashed is true where the run ended before it was judged.
	Crashed bool
	// Problems says what of the folder could not be read.
	Problems []string
}

// FromDir reads a run folder. Only run.json must be there: without a verdict the run is reported as a crash, and what else
// cannot be read is listed in the report. The scenario may be nil where it can no longer be loaded.
func FromDir(dir string, s *scenario.Scenario) (Data, error) {
	d := Data{Dir: dir, Scenario: s}
	if err := rundir.ReadJSON(dir, rundir.RunFile, &d.Run); err != nil {
		return Data{}, fmt.Errorf("not a run folder: %w", err)
	}
	var err error
	if d.Events, err = history.Read(filepath.Join(dir, rundir.HistoryFile)); err != nil {
		d.problem("The history could not be read, so the picture is empty", err)
	}
	switch err := rundir.ReadJSON(dir, rundir.VerdictFile, &d.Verdict); {
	case errors.Is(err, fs.ErrNotExist):
		d.crashed("The run ended before it was judged: there is no " + rundir.VerdictFile + ". Nothing may be concluded from it.")
	case err != nil:
		d.problem("The verdict could not be read", err)
		d.crashed("The verdict cannot be read. Nothing may be concluded from this run.")
	}
	d.Evidence, err = readEvidence(filepath.Join(dir, rundir.EvidenceDir), d.Events)
	if err != nil {
		d.problem("Some evidence could not be read", err)
	}
	d.Agreement = new(agree.Agreement)
	if err := rundir.ReadJSON(dir, rundir.AgreementFile, d.Agreement); err != nil {
		d.Agreement = nil
		if !errors.Is(err, fs.ErrNotExist) {
			d.problem("What came of holding it against another run could not be read", err)
		}
	}
	return d, nil
}

// Write makes report.html and junit.xml in the run folder.
func Write(dir string, d Data) error {
	page, err := HTML(d)
	if err != nil {
		return err
	}
	suites, err := JUnit(d)
	if err != nil {
		return err
	}
	return errors.Join(rundir.WriteFile(dir, rundir.ReportFile, page), rundir.WriteFile(dir, rundir.JUnitFile, suites))
}

func (d *Data) crashed(reason string) {
	d.Crashed = true
	d.Verdict = judge.Verdict{Scenario: d.Run.Scenario, Cluster: d.Run.Cluster, Proxy: d.Run.Proxy, Outcome: judge.Inconclusive, Reason: reason}
}

func (d *Data) problem(what string, err error) {
	// The folder may have been moved or be somebody else's: paths of this machine have no place in a report.
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	d.Problems = append(d.Problems, fmt.Sprintf("%s: %v.", what, err))
}

// scenario is the run's scenario, or an empty one.
func (d Data) scenario() *scenario.Scenario {
	if d.Scenario == nil {
		return &scenario.Scenario{Metadata: scenario.Metadata{ID: d.Run.Scenario, Title: d.Run.Title}}
	}
	return d.Scenario
}

// title is one line for people.
func (d Data) title() string {
	for _, t := range []string{d.scenario().Metadata.Title, d.Run.Title, d.Run.Scenario} {
		if t != "" {
			return t
		}
	}
	return "Unknown scenario"
}

// duration is when the last thing happened, in seconds since the run's start.
func (d Data) duration() float64 {
	last := 0.0
	for _, e := range d.Events {
		last = max(last, e.T)
	}
	return last
}
