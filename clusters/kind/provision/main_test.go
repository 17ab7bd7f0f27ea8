package provision

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// noOperations is for a guard that only undoes what it was asked to remember.
func noOperations(*undo.Stack) map[string]agent.Handler { return map[string]agent.Handler{} }

// TestMain makes the test binary play the guard, when it is started as one, and a harness that makes a cluster.
func TestMain(m *testing.M) {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "host":
		err = guard.Main(context.Background(), os.Args[2], noOperations)
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
