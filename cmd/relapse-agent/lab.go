package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/sandbox"
	"github.com/relapse-k8s/relapse/clusters/agent/tool"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// enterSandbox turns the namespaces of this process into a node or pod of the lab, and serves requests there.
func enterSandbox(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("sandbox: takes LOGS HOME")
	}
	var home sandbox.Home
	if err := json.Unmarshal([]byte(args[1]), &home); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	// Opened before the machine's files are out of reach.
	logs, err := os.OpenRoot(args[0])
	if err != nil {
		return fmt.Errorf("sandbox %s: %w", home.Hostname, err)
	}
	if err := home.Enter(); err != nil {
		return fmt.Errorf("sandbox %s: %w", home.Hostname, err)
	}
	id, err := sandbox.OwnID()
	if err != nil {
		return fmt.Errorf("sandbox %s: %w", home.Hostname, err)
	}
	tool.RunAs(id)
	programs := program.NewManager()
	programs.Confine, programs.Logs = sandbox.Confine, logs
	return serve(ctx, &undo.Stack{}, programs)
}

// restrict becomes a pod's program.
func restrict(_ context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("restrict: takes PATH ARGV...")
	}
	return fmt.Errorf("restrict: %w", sandbox.Restrict(args[0], args[1:]))
}

// serve answers requests until the stream ends, and then undoes all changes.
func serve(ctx context.Context, stack *undo.Stack, programs *program.Manager) error {
	err := agent.Serve(ctx, os.Stdin, os.Stdout, operations(stack, surroundings{own: programs, programs: programs}))
	if undoErr := stack.Close(ctx); undoErr != nil {
		return undoErr
	}
	return err
}

// host is the agent of the machine, and the guard: it outlives the harness, however the harness ends.
func host(ctx context.Context, id string) error {
	return guard.Main(ctx, id, func(stack *undo.Stack) map[string]agent.Handler {
		programs := program.NewManager()
		return operations(stack, surroundings{own: programs, programs: programs})
	})
}
