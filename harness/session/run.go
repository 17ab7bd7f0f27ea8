package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Run runs a scenario, judges what happened, and points OUT/latest/ID to the run folder, whose path it returns. Where that is
// empty there is no run to speak of. Beside an error there may be a verdict, which is then not a pass.
func Run(ctx context.Context, o run.Options, cat scenario.Catalogues) (dir string, verdict judge.Verdict, err error) {
	dir, err = run.Run(ctx, o)
	if dir == "" {
		return "", judge.Verdict{Outcome: judge.Inconclusive}, err
	}
	if err != nil {
		// A run that could not be brought to its end, such as by a guard that could not put the machine in order, must not pass, nor
		// when it is judged again.
		err = errors.Join(err, addError(dir, err))
	}
	verdict, concludeErr := Conclude(dir, cat)
	if concludeErr != nil {
		verdict.Outcome = judge.Inconclusive
		return dir, verdict, errors.Join(err, concludeErr)
	}
	return dir, verdict, errors.Join(err, Latest(o.Out, verdict.Scenario, dir))
}

// addError adds what went wrong with the whole run to its history.
func addError(dir string, what error) error {
	path := filepath.Join(dir, rundir.HistoryFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil // the run did not get as far; the verdict says so
	}
	events, err := history.Read(path)
	if err != nil {
		return err
	}
	last := 0.0
	for _, e := range events {
		last = max(last, e.T)
	}
	line, err := json.Marshal(history.Event{T: last, Kind: history.KindError, Text: what.Error()})
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// Latest makes OUT/latest/ID a link to a folder in OUT, in one step.
func Latest(out, id, dir string) error {
	folder := filepath.Join(out, "latest")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	target, err := filepath.Rel(folder, dir)
	if err != nil {
		return err
	}
	temporary := filepath.Join(folder, fmt.Sprintf(".%s-%d", id, os.Getpid()))
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(folder, id))
}
