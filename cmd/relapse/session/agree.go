package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// ReadJudged reads a run folder to compare it with another. It is judged again from its history, so that one judge has seen both; if
// there is no history, its verdict counts.
func ReadJudged(dir string, cat scenario.Catalogues) (agree.JudgedRun, error) {
	s, verdict, err := Judge(dir, cat)
	if err != nil {
		return agree.JudgedRun{}, err
	}
	side := agree.JudgedRun{Folder: dir, Scenario: s, Verdict: verdict}
	if err := rundir.ReadJSON(dir, rundir.RunFile, &side.Run); err != nil {
		return side, err
	}
	if _, err := os.Stat(filepath.Join(dir, rundir.HistoryFile)); err == nil {
		return side, nil
	}
	var stored judge.Verdict
	if err = rundir.ReadJSON(dir, rundir.VerdictFile, &stored); errors.Is(err, fs.ErrNotExist) {
		return side, nil
	}
	side.Verdict = stored
	return side, err
}

// Agree compares two run folders of one scenario.
func Agree(one, other string, cat scenario.Catalogues) (agree.Agreement, error) {
	first, err := ReadJudged(one, cat)
	if err != nil {
		return agree.Agreement{}, err
	}
	second, err := ReadJudged(other, cat)
	if err != nil {
		return agree.Agreement{}, err
	}
	return agree.Compare(first, second)
}

// KeepAgreement compares a run folder with another of the same scenario, keeps the result in the first, and writes its reports again.
func KeepAgreement(dir, with string, cat scenario.Catalogues) (agree.Agreement, error) {
	agreement, err := Agree(dir, with, cat)
	if err != nil {
		return agreement, err
	}
	// As seen from the folder that it is kept in, so that both can be moved together.
	agreement.Runs[0].Folder = "."
	if agreement.Runs[1].Folder, err = relative(dir, with); err != nil {
		return agreement, err
	}
	if err := rundir.WriteJSON(dir, rundir.AgreementFile, agreement); err != nil {
		return agreement, err
	}
	data, err := Data(dir, cat)
	if err != nil {
		return agreement, err
	}
	return agreement, reports.Write(dir, data)
}

// RenewAgreement compares a run folder again with the run in its agreement.json, and writes that file and the reports. If that run is
// gone, it changes nothing and returns an error. A folder without agreement.json is left alone.
func RenewAgreement(dir string, cat scenario.Catalogues) error {
	dir, err := filepath.EvalSymlinks(dir) // the other's folder is seen from there
	if err != nil {
		return err
	}
	var was agree.Agreement
	if err := rundir.ReadJSON(dir, rundir.AgreementFile, &was); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err = KeepAgreement(dir, filepath.Join(dir, was.Runs[1].Folder), cat); err != nil {
		return fmt.Errorf("%s is older than the verdict: %w", rundir.AgreementFile, err)
	}
	return nil
}

// relative is where a folder is, seen from another.
func relative(from, to string) (string, error) {
	from, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	if to, err = filepath.Abs(to); err != nil {
		return "", err
	}
	return filepath.Rel(from, to)
}
