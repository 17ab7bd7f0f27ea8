package guard

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// Main is what the guard of a run does: it serves on standard input and output, and undoes its journal when the stream ends. Operations
// are what it offers beside the guard's own, which may make changes on the stack.
func Main(ctx context.Context, id string, operations func(*undo.Stack) map[string]agent.Handler) error {
	// What a terminal sends goes to the harness as well, which ends the stream; that is what counts.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	run, err := runstate.Join(id)
	if err != nil {
		return err
	}
	journal, err := undo.OpenJournal(run.Journal())
	if err != nil {
		return err
	}
	stack := &undo.Stack{Journal: journal}
	ops := operations(stack)
	Register(ops, stack)
	serveErr := agent.Serve(ctx, os.Stdin, os.Stdout, ops)
	if err := runstate.Afterlife(ctx, stack, run); err != nil {
		return err
	}
	return serveErr
}

// NoOperations are those of a guard that only remembers.
func NoOperations(*undo.Stack) map[string]agent.Handler { return map[string]agent.Handler{} }
