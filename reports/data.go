// Package reports turns a run folder into what people and machines read: one HTML page, JUnit XML, Markdown and text for a
// terminal. It reads the record of a run and nothing else. What is good or bad is in the verdict: reports only format it.
package reports

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/regular"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Data is all that reports are made of.
type Data struct {
	// Dir is the run folder as the caller named it.
	Dir      string
	Run      rundir.Run
	Scenario *scenario.Scenario
	Events   []history.Event
	Verdict  judge.Verdict
	Evidence []EvidenceFile
	// Agreement is the comparison with another run, if there is one.
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
		return Data{}, fmt.Errorf("%s is not a run folder: %w", dir, err)
	}
	var err error
	if d.Events, err = history.Read(filepath.Join(dir, rundir.HistoryFile)); err != nil {
		d.problem("The history could not be read, so the picture is empty", err)
	}
	err = rundir.ReadJSON(dir, rundir.VerdictFile, &d.Verdict)
	if err == nil {
		err = bounded(d.Verdict)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.crashed("The run ended before it was judged: there is no " + rundir.VerdictFile + ". Nothing may be concluded from it.")
	case err != nil:
		d.problem("The verdict could not be read", err)
		d.crashed("The verdict cannot be read. Nothing may be concluded from this run.")
	}
	d.readEvidence()
	d.Agreement = new(agree.Agreement)
	if err := rundir.ReadJSON(dir, rundir.AgreementFile, d.Agreement); err != nil {
		d.Agreement = nil
		if !errors.Is(err, fs.ErrNotExist) {
			d.problem("The comparison with another run could not be read", err)
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

// bounded refuses a verdict that no run has: its tables would have no end.
func bounded(v judge.Verdict) error {
	if len(v.Variants) > scenario.MaxItems {
		return fmt.Errorf("%s: it has more than %d variants", rundir.VerdictFile, scenario.MaxItems)
	}
	phases := 0
	for _, variant := range v.Variants {
		phases += len(variant.Phases)
	}
	if phases > regular.MaxNames {
		return fmt.Errorf("%s: it has more than %d phases", rundir.VerdictFile, regular.MaxNames)
	}
	return nil
}

// readEvidence reads the folder evidence, if there is one.
func (d *Data) readEvidence() {
	const what = "Some evidence could not be read"
	folder, err := regular.Open(d.Dir)
	if err == nil {
		defer folder.Close()
		folder, err = folder.Folder(rundir.EvidenceDir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		d.problem(what, err)
		return
	}
	defer folder.Close()
	var errs []error
	d.Evidence, errs = readEvidence(folder, d.Events)
	for i, err := range errs {
		if i == mostProblems {
			d.problem(what, errors.New(count(len(errs)-i, "more file")))
			break
		}
		d.problem(what, err)
	}
}

// mostProblems is how many files that could not be read are named.
const mostProblems = 5

func (d *Data) problem(what string, err error) {
	// The folder may have been moved or be somebody else's: paths of this machine have no place in a report.
	text := strings.ReplaceAll(err.Error(), filepath.Clean(d.Dir)+string(filepath.Separator), "")
	d.Problems = append(d.Problems, fmt.Sprintf("%s: %s.", what, text))
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
