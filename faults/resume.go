package faults

import (
	"context"
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/procs"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Resume lets a program go on that the change freeze has stopped, as one does that gets CPU time again. Undoing it freezes the program again.
type Resume struct {
	// Program is the name that freeze has.
	Program string `json:"program" ref:"container"`

	target freezable
}

// Validate checks the name.
func (c *Resume) Validate() error { return checkProgram(c.Program) }

// Apply resumes it. An agent that dies leaves nothing to undo: nobody has to freeze the program then.
func (c *Resume) Apply(ctx context.Context, ns *Namespace) (err error) {
	if c.target, err = findProgram(ctx, ns, c.Program); err != nil {
		return err
	}
	// Others of the name may have started since.
	c.target.processes = slices.DeleteFunc(c.target.processes, func(id procs.ID) bool {
		stopped, err := procs.Stopped(id.PID)
		return err != nil || !stopped
	})
	frozen, err := c.target.frozen(ctx)
	if err != nil {
		return err
	}
	if !frozen {
		return fmt.Errorf("%s is not frozen", c.Program)
	}
	if err := ns.Scope.PushFunc("freeze "+c.Program+" again", func(ctx context.Context) error { return c.target.freeze(ctx, true) }); err != nil {
		return err
	}
	return c.target.freeze(ctx, false)
}

// Keys are its numbers.
func (*Resume) Keys() units.Keys {
	return units.Keys{"running": {Means: "1 while the program goes on", Kind: units.Share}}
}

// Readings looks at the program.
func (c *Resume) Readings(ctx context.Context) (map[string]float64, error) {
	frozen, err := c.target.frozen(ctx)
	return map[string]float64{"running": share(!frozen)}, err
}
