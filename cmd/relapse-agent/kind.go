package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/relapse-k8s/relapse/clusters/kind/contain"
	"github.com/relapse-k8s/relapse/clusters/kind/journals"
	"github.com/relapse-k8s/relapse/clusters/kind/place"
	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/program"
	"github.com/relapse-k8s/relapse/harness/runstate"
	"github.com/relapse-k8s/relapse/harness/runstate/procs"
	"github.com/relapse-k8s/relapse/harness/undo"
)

// journalsDir is the folder of all journals of the node.
func journalsDir() (string, error) {
	dir, err := runstate.Dir()
	return filepath.Join(dir, "journals"), err
}

const (
	// undoLimit is how long undoing one journal may take.
	undoLimit = time.Minute
	// awaitLimit is how long an agent waits at its start until what a dead one has left is undone.
	awaitLimit = 30 * time.Second
)

// keep undoes what dead agents have left, each journal by a process of its own that enters their namespaces.
func keep(ctx context.Context, _ []string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	dir, err := journalsDir()
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	keeper := journals.Keeper{Dir: dir, Log: os.Stderr, Undo: func(ctx context.Context, left journals.Left) error {
		// It is let finish when keep is told to end.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoLimit)
		defer cancel()
		cmd := exec.CommandContext(ctx, "/proc/self/exe", "undo", left.Folder)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("relapse-agent undo %s: %w", left.Folder, errors.Join(err, ctx.Err()))
		}
		return nil
	}}
	return keeper.Keep(ctx)
}

// undoJournal undoes what one dead agent has left, where it left it.
func undoJournal(ctx context.Context, args []string) error {
	left, err := journals.ReadLeft(first(args))
	if err != nil {
		return err
	}
	inside, err := place.Inside()
	if err != nil {
		return fmt.Errorf("%s: %w", left.Owner, err)
	}
	say := func(text string) { fmt.Fprintln(os.Stderr, text) }
	if inside {
		return left.Undo(ctx, say)
	}
	process, err := find(left.Owner.Container)
	if err == nil {
		netns, nsErr := procs.Netns(process.PID)
		if err = nsErr; err == nil && netns != left.Owner.Netns {
			err = place.ErrGone
		}
	}
	if err != nil { // that process has ended, and another one of the place may be there
		process, err = place.InNetwork(left.Owner.Netns)
	}
	if errors.Is(err, place.ErrGone) {
		say(fmt.Sprintf("%s: %v, and its changes with it", left.Owner, err))
		return left.Remove()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", left.Owner, err)
	}
	return place.Enter(process)
}

// find returns a process of a container, or of the node, which is its first one.
func find(container string) (procs.ID, error) {
	if container == "" {
		return procs.Of(1)
	}
	c, err := place.Find(container)
	return c.First, err
}

func node(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("node: give RUN PLACE")
	}
	return servePlace(ctx, "", args[0], args[1])
}

func pod(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("pod: give CONTAINER RUN PLACE")
	}
	return servePlace(ctx, args[0], args[1], args[2])
}

// servePlace enters a node or a container, serves it until the stream ends, and undoes all that was done.
func servePlace(ctx context.Context, container, run, name string) error {
	inside, err := place.Inside()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !inside {
		process, err := find(container)
		if err == nil {
			err = place.Enter(process)
		}
		return fmt.Errorf("%s: %w", name, err)
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	journal, err := openJournal(ctx, journals.Owner{Run: run, Place: name, Container: container})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	stack := &undo.Stack{Journal: journal.Journal, Refuse: place.RefuseMachine}
	if err := rememberPorts(stack); err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, journal.Remove()))
	}
	own := program.NewManager()
	var programs program.Keeper = own
	if container != "" {
		c, err := place.Find(container)
		if err != nil {
			return fmt.Errorf("%s: %w", name, errors.Join(err, stack.Close(ctx), journal.Remove()))
		}
		programs = &contain.Pod{Own: own, Sockets: func() ([]string, error) { return sockets(c) }}
	}
	serveErr := agent.Serve(ctx, os.Stdin, os.Stdout, operations(stack, own, programs))
	if err := stack.Close(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, journal.Close())) // the journal stays, for keep
	}
	return errors.Join(serveErr, journal.Remove())
}

// openJournal begins the journal of this process, once nothing is left of dead agents in its network namespace.
func openJournal(ctx context.Context, owner journals.Owner) (*journals.Journal, error) {
	dir, err := journalsDir()
	if err != nil {
		return nil, err
	}
	if owner.Process, err = procs.Self(); err != nil {
		return nil, err
	}
	if owner.Netns, err = procs.Netns(0); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, awaitLimit, fmt.Errorf("limit of %s; see the log of relapse-agent keep", awaitLimit))
	defer cancel()
	if err := journals.Await(ctx, dir, owner.Netns); err != nil {
		return nil, err
	}
	return journals.Create(dir, owner)
}

// rememberPorts writes down the range of source ports, which probes change while they run. They put it back themselves, but not
// when they are killed.
func rememberPorts(stack *undo.Stack) error {
	const key = "net.ipv4.ip_local_port_range"
	now, err := undo.ReadSysctl(key)
	if err != nil {
		return err
	}
	return stack.Begin("probes").Push(undo.Record{Sysctl: &undo.Sysctl{Key: key, Value: now}})
}

// sockets are those of the supervisors in a container's pod, also when the kubelet has made the container anew.
func sockets(c place.Container) ([]string, error) {
	all, err := c.Siblings()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, one := range all {
		socket := fmt.Sprintf("/proc/%d/root%s", one.First.PID, contain.Socket)
		if _, err := os.Stat(socket); err == nil { // the pod's sandbox has none
			found = append(found, socket)
		}
	}
	return found, nil
}

// containProgram is the first process of a container, and then the second as well.
func containProgram(ctx context.Context, args []string) error {
	c, err := contain.Parse(args)
	if err != nil {
		return err
	}
	if os.Getpid() == 1 {
		return contain.Init()
	}
	return contain.Supervise(ctx, c, contain.Socket, contain.Output{Stdout: os.Stdout, Stderr: os.Stderr})
}
