package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/relapse-k8s/relapse/clusters/sandbox"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/guard"
	"github.com/relapse-k8s/relapse/harness/program"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// enterSandbox makes the namespaces that the process was started in a node or pod of the lab, and serves it.
func enterSandbox(ctx context.Context, args []string) error {
	var home sandbox.Home
	if err := json.Unmarshal([]byte(first(args)), &home); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if err := home.Enter(); err != nil {
		return fmt.Errorf("sandbox %s: %w", home.Hostname, err)
	}
	return serve(ctx, &undo.Stack{})
}

// serve answers requests until the stream ends, and then undoes all that was done.
func serve(ctx context.Context, stack *undo.Stack) error {
	programs := program.NewManager()
	err := agent.Serve(ctx, os.Stdin, os.Stdout, operations(stack, programs, programs))
	if undoErr := stack.Close(ctx); undoErr != nil {
		return undoErr
	}
	return err
}

// host is the guard too: it outlives the harness, whatever becomes of that.
func host(ctx context.Context, id string) error {
	return guard.Main(ctx, id, func(stack *undo.Stack) map[string]agent.Handler {
		programs := program.NewManager()
		return operations(stack, programs, programs)
	})
}
