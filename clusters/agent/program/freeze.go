package program

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
)

// Freeze stops all processes of a program where they are, or lets them go on. One in a session of its own is not reached. A program that goes
// on is waited for until it has answered to the last input of the time when it was frozen.
func (m *Manager) Freeze(ctx context.Context, name string, frozen bool) error {
	r, err := m.find(name)
	if err != nil {
		return err
	}
	sig := syscall.SIGCONT
	if frozen {
		sig = syscall.SIGSTOP
	}
	r.mu.Lock()
	unsaid := r.unsaid
	r.frozen, r.unsaid = frozen, Input{}
	r.mu.Unlock()
	if err := syscall.Kill(-r.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("program %s: %s: %w", name, sig, err)
	}
	if frozen {
		if err := procs.AwaitStopped(ctx, r.cmd.Process.Pid); err != nil {
			return fmt.Errorf("program %s: %w", name, err)
		}
	}
	if unsaid.Line == "" {
		return nil
	}
	_, err = m.Send(ctx, unsaid)
	return err
}

// Frozen says whether a program's first process is frozen.
func (m *Manager) Frozen(_ context.Context, name string) (bool, error) {
	r, err := m.find(name)
	if err != nil {
		return false, err
	}
	return procs.Stopped(r.cmd.Process.Pid)
}
