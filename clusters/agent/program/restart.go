package program

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// listenLimit is how long a restarted program may take until it listens; listenEvery is how often that is checked.
const (
	listenLimit = 10 * time.Second
	listenEvery = 5 * time.Millisecond
)

// Names lists the started programs.
func (m *Manager) Names(context.Context) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.programs)), nil
}

// Spec returns the Spec with which a program was started.
func (m *Manager) Spec(_ context.Context, name string) (Spec, error) {
	r, err := m.find(name)
	if err != nil {
		return Spec{}, err
	}
	return r.spec, nil
}

// Alive returns an error with the program's last output if it has ended, or was not started.
func (m *Manager) Alive(_ context.Context, name string) error {
	r, err := m.find(name)
	if err != nil {
		return err
	}
	select {
	case <-r.ended:
		return r.failed(fmt.Errorf("it has ended: %w", errOrEnd(r.err)))
	default:
		return nil
	}
}

// Ports returns the TCP ports that a program listens on, with all its processes.
func (m *Manager) Ports(_ context.Context, name string) ([]uint16, error) {
	r, err := m.find(name)
	if err != nil {
		return nil, err
	}
	ports, err := listening(r.cmd.Process.Pid)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", name, err)
	}
	return ports, nil
}

func (m *Manager) find(name string) (*running, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.programs[name]
	if !ok {
		return nil, fmt.Errorf("program %s is not running here; running: %v", name, slices.Sorted(maps.Keys(m.programs)))
	}
	return r, nil
}

// Restart stops the program with this name, starts it with s, and returns when it listens on these ports.
func (m *Manager) Restart(ctx context.Context, s Spec, ports []uint16) error {
	if err := m.Stop(s.Name); err != nil {
		return err
	}
	if err := m.Start(s); err != nil {
		return err
	}
	r, err := m.find(s.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, listenLimit, fmt.Errorf("limit of %s", listenLimit))
	defer cancel()
	tick := time.NewTicker(listenEvery)
	defer tick.Stop()
	for {
		now, err := m.Ports(ctx, s.Name)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(ports, func(port uint16) bool { return !slices.Contains(now, port) }) {
			return m.Alive(ctx, s.Name)
		}
		select {
		case <-tick.C:
		case <-r.ended:
			return r.failed(fmt.Errorf("it ended (%w) before it listened on %v", errOrEnd(r.err), ports))
		case <-ctx.Done():
			return r.failed(fmt.Errorf("it listens on %v, and not on all of %v: %w", now, ports, context.Cause(ctx)))
		}
	}
}
