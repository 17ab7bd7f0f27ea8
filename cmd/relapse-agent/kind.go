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

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/onkind/contain"
	"github.com/relapse-k8s/relapse/clusters/agent/onkind/journals"
	"github.com/relapse-k8s/relapse/clusters/agent/onkind/place"
	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/runstate"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// journalsDir is the folder of all journals of the node.
func journalsDir() (string, error) {
	dir, err := runstate.Dir()
	return filepath.Join(dir, "journals"), err
}

const (
	// undoLimit is how long undoing one journal may take.
	undoLimit = time.Minute
	// awaitLimit is how long an agent waits at its start until the changes of a dead agent are undone.
	awaitLimit = 30 * time.Second
)

// keep undoes the changes of dead agents. Each journal is undone by a process of its own, which enters the agent's namespaces.
func keep(ctx context.Context, _ []string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	dir, err := journalsDir()
	if err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	keeper := journals.Keeper{Dir: dir, Log: os.Stderr, Undo: func(ctx context.Context, left journals.Left) error {
		// An undo that has begun is finished, even if keep gets a signal.
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

// undoJournal undoes the changes of one dead agent, in the namespaces where it made them.
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
	if err != nil { // that process has ended, but its network namespace may have another process
		process, err = place.InNetwork(left.Owner.Netns)
	}
	if errors.Is(err, place.ErrGone) {
		say(fmt.Sprintf("%s: %v, and its changes are gone with it", left.Owner, err))
		return left.Remove()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", left.Owner, err)
	}
	return place.Enter(process)
}

// find returns the first process of a container, or of the node if container is empty.
func find(container string) (procs.ID, error) {
	if container == "" {
		return procs.Of(1)
	}
	c, err := place.Find(container)
	return c.First, err
}

func node(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("node: takes RUN PLACE")
	}
	return servePlace(ctx, "", args[0], args[1])
}

func pod(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("pod: takes CONTAINER RUN PLACE")
	}
	return servePlace(ctx, args[0], args[1], args[2])
}

// servePlace enters a node or a container, serves requests until the stream ends, and undoes all changes.
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
	at := surroundings{own: own, programs: own}
	if container != "" {
		c, err := place.Find(container)
		if err != nil {
			return fmt.Errorf("%s: %w", name, errors.Join(err, stack.Close(ctx), journal.Remove()))
		}
		at.programs = &contain.Pod{Own: own, Sockets: func() ([]string, error) { return sockets(c) }}
	} else {
		at.processes = procs.Named
	}
	serveErr := agent.Serve(ctx, os.Stdin, os.Stdout, operations(stack, at))
	if err := stack.Close(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, journal.Close())) // the journal is kept, for relapse-agent keep
	}
	return errors.Join(serveErr, journal.Remove())
}

// openJournal starts the journal of this process, after the changes of dead agents in its network namespace are undone.
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
	ctx, cancel := context.WithTimeoutCause(ctx, awaitLimit, fmt.Errorf("timed out after %s; see the log of relapse-agent keep", awaitLimit))
	defer cancel()
	if err := journals.Await(ctx, dir, owner.Netns); err != nil {
		return nil, err
	}
	return journals.Create(dir, owner)
}

// rememberPorts records the range of source ports, which probes change while they run. They restore it themselves, unless they are
// killed.
func rememberPorts(stack *undo.Stack) error {
	const key = "net.ipv4.ip_local_port_range"
	now, err := undo.ReadSysctl(key)
	if err != nil {
		return err
	}
	return stack.Begin("probes").Push(undo.Record{Sysctl: &undo.Sysctl{Key: key, Value: now}})
}

// sockets returns the sockets of the supervisors in a container's pod, also after the kubelet has recreated the container.
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

// containProgram is the first process of a container, and the supervisor that the first process starts.
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
