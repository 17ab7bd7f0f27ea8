package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/run"
	"github.com/relapse-k8s/relapse/harness/rundir"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/load"
)

// Run runs a scenario, judges what happened, and makes OUT/latest/ID a link to the run folder, whose path it returns. The path is empty if
// there was no run. Beside an error there may be a verdict, which is then not a pass.
func Run(ctx context.Context, o run.Options, cat scenario.Catalogues) (dir string, verdict judge.Verdict, err error) {
	o.Load = func(source []byte) (*scenario.Scenario, error) {
		return load.Parse(o.Scenario.Metadata.ID, source, cat)
	}
	dir, err = run.Run(ctx, o)
	if dir == "" {
		return "", judge.Verdict{Outcome: judge.Inconclusive}, err
	}
	if err != nil {
		// A run that failed, such as by a guard that could not put the machine in order, must not pass, also when it is judged again.
		err = also(err, history.AppendError(filepath.Join(dir, rundir.HistoryFile), err))
	}
	verdict, concludeErr := Conclude(dir, cat)
	if concludeErr != nil {
		verdict.Outcome = judge.Inconclusive
		return dir, verdict, also(err, concludeErr)
	}
	return dir, verdict, errors.Join(err, Latest(o.Out, verdict.Scenario, dir))
}

// also adds an error of what was done after a run had failed, unless it has the same cause, such as a full disk.
func also(err, next error) error {
	var errno syscall.Errno
	if errors.As(next, &errno) && errors.Is(err, errno) {
		return err
	}
	return errors.Join(err, next)
}

// Latest makes OUT/latest/ID a link to a folder in OUT, in one step. It follows no link out of OUT, which may have come from somebody else.
func Latest(out, id, dir string) error {
	target, err := filepath.Rel(filepath.Join(out, "latest"), dir)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(out)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("latest", 0o755); err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	temporary := filepath.Join("latest", fmt.Sprintf(".%s-%d", id, os.Getpid()))
	if err := root.Symlink(target, temporary); err != nil {
		return fmt.Errorf("%s: %w", out, err)
	}
	return root.Rename(temporary, filepath.Join("latest", id))
}
