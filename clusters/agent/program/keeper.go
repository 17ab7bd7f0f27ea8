package program

import (
	"context"

	"github.com/relapse-k8s/relapse/clusters/agent"
)

// Keeper keeps programs running: a Manager in this process, or one at the other end of a stream.
type Keeper interface {
	// Names lists the programs.
	Names(ctx context.Context) ([]string, error)
	// Spec returns the Spec with which a program was started.
	Spec(ctx context.Context, name string) (Spec, error)
	// Alive returns an error with the program's last output if it has ended, or was not started.
	Alive(ctx context.Context, name string) error
	// Ports returns the TCP ports that a program listens on, with all its processes.
	Ports(ctx context.Context, name string) ([]uint16, error)
	// Restart stops the program with this name, starts it with s, and returns when it listens on these ports.
	Restart(ctx context.Context, s Spec, ports []uint16) error
	// Freeze stops all processes of a program where they are, or lets them go on.
	Freeze(ctx context.Context, name string, frozen bool) error
	// Frozen says whether a program's first process is frozen.
	Frozen(ctx context.Context, name string) (bool, error)
	// Follow sends the matching lines that a program writes from now on, until ctx ends, which is not an error.
	Follow(ctx context.Context, f Following, say func(line string)) error
}

// restarting is the request to restart a program.
type restarting struct {
	Spec  Spec
	Ports []uint16
}

// freezing is the request to freeze a program, or to let it go on.
type freezing struct {
	Name   string
	Frozen bool
}

// Operations of a Keeper.
var (
	names   = agent.Op[agent.None, agent.None, []string]{Name: "program/names"}
	spec    = agent.Op[string, agent.None, Spec]{Name: "program/spec"}
	alive   = agent.Op[string, agent.None, agent.None]{Name: "program/alive"}
	ports   = agent.Op[string, agent.None, []uint16]{Name: "program/ports"}
	restart = agent.Op[restarting, agent.None, agent.None]{Name: "program/restart"}
	freeze  = agent.Op[freezing, agent.None, agent.None]{Name: "program/freeze"}
	frozen  = agent.Op[string, agent.None, bool]{Name: "program/frozen"}
)

// Serve adds the operations of a Keeper.
func Serve(ops map[string]agent.Handler, k Keeper) {
	names.Handle(ops, func(ctx context.Context, _ agent.None, _ func(agent.None)) ([]string, error) { return k.Names(ctx) })
	spec.Handle(ops, func(ctx context.Context, name string, _ func(agent.None)) (Spec, error) { return k.Spec(ctx, name) })
	alive.Handle(ops, func(ctx context.Context, name string, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, k.Alive(ctx, name)
	})
	ports.Handle(ops, func(ctx context.Context, name string, _ func(agent.None)) ([]uint16, error) {
		return k.Ports(ctx, name)
	})
	restart.Handle(ops, func(ctx context.Context, r restarting, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, k.Restart(ctx, r.Spec, r.Ports)
	})
	freeze.Handle(ops, func(ctx context.Context, r freezing, _ func(agent.None)) (agent.None, error) {
		return agent.None{}, k.Freeze(ctx, r.Name, r.Frozen)
	})
	frozen.Handle(ops, func(ctx context.Context, name string, _ func(agent.None)) (bool, error) { return k.Frozen(ctx, name) })
	Follow.Handle(ops, func(ctx context.Context, f Following, say func(string)) (agent.None, error) {
		return agent.None{}, k.Follow(ctx, f, say)
	})
}

// Remote is the Keeper at the other end of a stream.
type Remote struct{ Conn *agent.Conn }

// Names asks the other end.
func (r Remote) Names(ctx context.Context) ([]string, error) {
	return names.Call(ctx, r.Conn, agent.None{}, nil)
}

// Spec asks the other end.
func (r Remote) Spec(ctx context.Context, name string) (Spec, error) {
	return spec.Call(ctx, r.Conn, name, nil)
}

// Alive asks the other end.
func (r Remote) Alive(ctx context.Context, name string) error {
	_, err := alive.Call(ctx, r.Conn, name, nil)
	return err
}

// Ports asks the other end.
func (r Remote) Ports(ctx context.Context, name string) ([]uint16, error) {
	return ports.Call(ctx, r.Conn, name, nil)
}

// Restart asks the other end.
func (r Remote) Restart(ctx context.Context, s Spec, listen []uint16) error {
	_, err := restart.Call(ctx, r.Conn, restarting{s, listen}, nil)
	return err
}

// Freeze asks the other end.
func (r Remote) Freeze(ctx context.Context, name string, on bool) error {
	_, err := freeze.Call(ctx, r.Conn, freezing{name, on}, nil)
	return err
}

// Frozen asks the other end.
func (r Remote) Frozen(ctx context.Context, name string) (bool, error) {
	return frozen.Call(ctx, r.Conn, name, nil)
}

// Follow asks the other end.
func (r Remote) Follow(ctx context.Context, f Following, say func(line string)) error {
	_, err := Follow.Call(ctx, r.Conn, f, say)
	return err
}
