package provision

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/guard"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// TestMain makes the test binary play the guard, when it is started as one, and a harness that makes a cluster.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "host":
		err = playGuard(os.Args[2])
	case os.Getenv("RELAPSE_TEST_CREATE") != "":
		err = playHarness(os.Getenv("RELAPSE_TEST_CREATE"))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func playGuard(id string) error {
	run, err := runstate.Join(id)
	if err != nil {
		return err
	}
	journal, err := undo.OpenJournal(run.Journal())
	if err != nil {
		return err
	}
	stack, ops := &undo.Stack{Journal: journal}, map[string]agent.Handler{}
	guard.Register(ops, stack)
	if err := agent.Serve(context.Background(), os.Stdin, os.Stdout, ops); err != nil {
		return err
	}
	return runstate.Afterlife(context.Background(), stack, run)
}

// playHarness makes a cluster with a guard and keeps it until it is killed.
func playHarness(name string) error {
	ctx := context.Background()
	state, err := runstate.New("test", nil)
	if err != nil {
		return err
	}
	g, err := guard.Start(ctx, os.Args[0], filepath.Join(state.Folder(), "guard.log"), state)
	if err != nil {
		return err
	}
	say := func(doing string) { fmt.Println(doing) }
	if _, err := Create(ctx, Spec{Name: name, Nodes: 2, Progress: say}, g); err != nil {
		return err
	}
	fmt.Println("ready")
	select {}
}
