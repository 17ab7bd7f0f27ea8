package runstate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// farewell is how long the run's other processes may take to end by themselves once their streams have broken.
const farewell = 2 * time.Second

// Afterlife is the last act of a run, for its guard: the host's agent, in a session of its own and deaf to SIGINT, SIGTERM and SIGHUP,
// when its stream has ended for whatever reason. It undoes the stack, waits a moment for the run's other processes, kills those
// that are left, and removes the run's folder. When something could not be undone the folder stays, for `relapse clean`.
func Afterlife(ctx context.Context, stack *undo.Stack, run *Run) error {
	ctx = context.WithoutCancel(ctx)
	undoErr := stack.Close(ctx)

	patience, cancel := context.WithTimeout(ctx, farewell)
	err := waitProcesses(patience, run.ID)
	cancel()
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	_, killErr := endProcesses(ctx, run.ID)

	if err := errors.Join(undoErr, err, killErr); err != nil {
		return errors.Join(fmt.Errorf("end of run %s: %w", run.ID, err), run.Close())
	}
	if err := run.Remove(); err != nil {
		return fmt.Errorf("end of run %s: %w", run.ID, err)
	}
	return nil
}
