package contain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// Pod keeps the programs of a pod: those of its containers through their supervisors, and those that the pod's agent has started
// itself. It holds on to each supervisor that it has asked, which puts its program back when the agent dies.
type Pod struct {
	// Own are the agent's own programs.
	Own *program.Manager
	// Sockets lists the sockets of the supervisors that run now.
	Sockets func() ([]string, error)

	mu    sync.Mutex
	conns map[string]*agent.Conn // by the container's name
}

// keeper finds who keeps a program.
func (p *Pod) keeper(ctx context.Context, name string) (program.Keeper, error) {
	own, err := p.Own.Names(ctx)
	if err != nil {
		return nil, err
	}
	if slices.Contains(own, name) {
		return p.Own, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn, ok := p.conns[name]; ok && !gone(conn) {
		return program.Remote{Conn: conn}, nil
	}
	err = p.connect(ctx)
	if conn, ok := p.conns[name]; ok {
		return program.Remote{Conn: conn}, nil
	}
	return nil, errors.Join(fmt.Errorf("no container %s runs in this pod; there are %v", name, append(own, slices.Sorted(maps.Keys(p.conns))...)), err)
}

func gone(conn *agent.Conn) bool {
	select {
	case <-conn.Gone():
		return true
	default:
		return false
	}
}

// connect reaches the supervisors that it has no stream to. It is called with the mutex held.
func (p *Pod) connect(ctx context.Context) error {
	maps.DeleteFunc(p.conns, func(_ string, conn *agent.Conn) bool { return gone(conn) })
	sockets, err := p.Sockets()
	if err != nil {
		return err
	}
	if p.conns == nil {
		p.conns = map[string]*agent.Conn{}
	}
	var errs []error
	for _, socket := range sockets {
		name, conn, err := dial(ctx, socket)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if _, ok := p.conns[name]; ok {
			conn.Close()
			continue
		}
		p.conns[name] = conn
	}
	return errors.Join(errs...)
}

func dial(ctx context.Context, socket string) (name string, conn *agent.Conn, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limits.Supervisor, fmt.Errorf("limit of %s", limits.Supervisor))
	defer cancel()
	stream, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", nil, err
	}
	conn = agent.NewConn("container", stream, stream)
	names, err := program.Remote{Conn: conn}.Names(ctx)
	if err == nil && len(names) != 1 {
		err = fmt.Errorf("%s: the supervisor has %d programs", socket, len(names))
	}
	if err != nil {
		conn.Close()
		return "", nil, err
	}
	return names[0], conn, nil
}

// Names lists the containers that have a supervisor, and the agent's own programs.
func (p *Pod) Names(ctx context.Context) ([]string, error) {
	own, err := p.Own.Names(ctx)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	err = p.connect(ctx)
	return append(own, slices.Sorted(maps.Keys(p.conns))...), err
}

// Spec of a program.
func (p *Pod) Spec(ctx context.Context, name string) (program.Spec, error) {
	k, err := p.keeper(ctx, name)
	if err != nil {
		return program.Spec{}, err
	}
	return k.Spec(ctx, name)
}

// Alive says whether a program runs.
func (p *Pod) Alive(ctx context.Context, name string) error {
	k, err := p.keeper(ctx, name)
	if err != nil {
		return err
	}
	return k.Alive(ctx, name)
}

// Ports that a program listens on.
func (p *Pod) Ports(ctx context.Context, name string) ([]uint16, error) {
	k, err := p.keeper(ctx, name)
	if err != nil {
		return nil, err
	}
	return k.Ports(ctx, name)
}

// Restart starts a program again.
func (p *Pod) Restart(ctx context.Context, s program.Spec, ports []uint16) error {
	k, err := p.keeper(ctx, s.Name)
	if err != nil {
		return err
	}
	return k.Restart(ctx, s, ports)
}

// Freeze stops a program where it is, or lets it go on.
func (p *Pod) Freeze(ctx context.Context, name string, frozen bool) error {
	k, err := p.keeper(ctx, name)
	if err != nil {
		return err
	}
	return k.Freeze(ctx, name, frozen)
}

// Frozen says whether a program is frozen.
func (p *Pod) Frozen(ctx context.Context, name string) (bool, error) {
	k, err := p.keeper(ctx, name)
	if err != nil {
		return false, err
	}
	return k.Frozen(ctx, name)
}

// Follow says a program's lines, those of a container that the kubelet has started again included.
func (p *Pod) Follow(ctx context.Context, f program.Following, say func(string)) error {
	tick := time.NewTicker(limits.LogPoll)
	defer tick.Stop()
	for {
		k, err := p.keeper(ctx, f.Name)
		if err == nil {
			err = k.Follow(ctx, f, say)
			if err == nil || !errors.Is(err, agent.ErrGone) {
				return err
			}
		}
		// It may not run yet, or have ended: then the last thing seen is worth nothing.
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
