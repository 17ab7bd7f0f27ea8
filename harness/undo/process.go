package undo

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/harness/runstate/procs"
)

// Process ends a process that was started. It is known by its start time too, so that a pid used again is never hit.
type Process struct {
	procs.ID
}

func (p *Process) String() string { return "end " + p.ID.String() }

func (p *Process) check() error {
	if p.PID <= 1 || p.Start == 0 {
		return errors.New("needs a pid above 1 and a start time")
	}
	return nil
}

func (p *Process) undo(ctx context.Context) error { return p.Kill(ctx) }
