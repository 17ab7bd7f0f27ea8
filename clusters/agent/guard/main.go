package guard

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Main is the program of the guard: it serves on standard input and output, and undoes its journal when the stream ends. Operations are
// those that it serves beside the guard's own; they may make changes on the stack.
func Main(ctx context.Context, id string, operations func(*undo.Stack) map[string]agent.Handler) error {
	// A terminal signals the harness as well, which then ends the stream.
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
	if err := runstate.Finish(ctx, stack, run); err != nil {
		return err
	}
	return serveErr
}
