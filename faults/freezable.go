package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// freezable is a program of the place, which goes on when its keeper loses the agent, or the processes of a real node with its name.
type freezable struct {
	keeper    program.Keeper
	name      string
	processes []procs.ID
}

func findProgram(ctx context.Context, ns *Namespace, name string) (freezable, error) {
	names, err := ns.Programs.Names(ctx)
	if err != nil {
		return freezable{}, err
	}
	if slices.Contains(names, name) {
		return freezable{keeper: ns.Programs, name: name}, nil
	}
	if ns.Processes == nil {
		return freezable{}, fmt.Errorf("no program %s runs here; there are %v", name, names)
	}
	found, err := ns.Processes(name)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no process %s runs on this node", name)
	}
	return freezable{name: name, processes: found}, err
}

// freeze stops it, or lets it go on.
func (f freezable) freeze(ctx context.Context, frozen bool) error {
	switch {
	case f.keeper != nil:
		return f.keeper.Freeze(ctx, f.name, frozen)
	case frozen:
		return errors.Join(signalAll(f.processes, unix.SIGSTOP), awaitStopped(ctx, f.processes))
	}
	return signalAll(f.processes, unix.SIGCONT)
}

func (f freezable) frozen(ctx context.Context) (bool, error) {
	if f.keeper != nil {
		return f.keeper.Frozen(ctx, f.name)
	}
	return allStopped(f.processes)
}

// allStopped says whether there are processes and all are stopped. One that has ended is not.
func allStopped(all []procs.ID) (bool, error) {
	if len(all) == 0 {
		return false, nil
	}
	for _, id := range all {
		stopped, err := procs.Stopped(id.PID)
		if procs.Gone(err) || err == nil && (!stopped || !id.Alive()) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

func signalAll(all []procs.ID, sig unix.Signal) error {
	var errs []error
	for _, id := range all {
		process, err := id.Open()
		if procs.Gone(err) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, process.Signal(sig), process.Close())
	}
	return errors.Join(errs...)
}

func awaitStopped(ctx context.Context, all []procs.ID) error {
	for _, id := range all {
		if err := procs.AwaitStopped(ctx, id.PID); err != nil {
			return err
		}
	}
	return nil
}

// frozenProcesses lets processes go on.
type frozenProcesses struct {
	Name      string
	Processes []procs.ID
}

func init() { undo.Register(func() undo.Step { return &frozenProcesses{} }) }

// Kind is its name in a journal.
func (*frozenProcesses) Kind() string { return "frozen-processes" }

// Check refuses the processes of relapse.
func (p *frozenProcesses) Check() error {
	if strings.HasPrefix(p.Name, undo.Prefix) || len(p.Processes) == 0 {
		return fmt.Errorf("%d processes named %q are not to be frozen", len(p.Processes), p.Name)
	}
	return nil
}

// Undo lets those go on that are still there.
func (p *frozenProcesses) Undo(context.Context) error {
	return errors.Join(p.Check(), signalAll(p.Processes, unix.SIGCONT))
}

// Limit is the default one.
func (*frozenProcesses) Limit() time.Duration { return 0 }

func (p *frozenProcesses) String() string {
	return fmt.Sprintf("let the %d processes named %s go on", len(p.Processes), p.Name)
}
