package runstate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// endGrace is how long the run's other processes may take to end by themselves after their streams have ended.
const endGrace = 2 * time.Second

// Finish ends a run. The guard calls it when the stream from the harness has ended. It undoes the stack, waits for the run's other
// processes, kills those that are left, and removes the run's folder. If something could not be undone, the folder stays for `relapse
// clean`.
func Finish(ctx context.Context, stack *undo.Stack, run *Run) error {
	ctx = context.WithoutCancel(ctx)
	undoErr := stack.Close(ctx)

	limited, cancel := context.WithTimeout(ctx, endGrace)
	err := waitProcesses(limited, run.ID)
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
