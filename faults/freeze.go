package faults

import (
	"context"
	"fmt"
	"regexp"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Freeze stops a program where it is (SIGSTOP): its sockets stay open, so nothing refuses, and nobody answers. So does a program that gets
// no CPU time, or hangs. Rules and routes that it has made stay. Undoing it lets the program go on.
type Freeze struct {
	// Program is the name of a container of the pod. At a node it is kube-proxy or, on a real cluster, the name of any process as ps -C lists
	// it, such as calico-node: all processes of the node with that name are frozen. A kubelet restarts a container whose liveness probe fails.
	Program string `json:"program" ref:"container"`

	target freezable
}

// programName is what a container or a process may be called; the kernel keeps 15 characters of the latter.
var programName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)

func checkProgram(name string) error {
	if !programName.MatchString(name) {
		return fmt.Errorf("program: %q must be the name of a container or a process", name)
	}
	return nil
}

// Validate checks the name.
func (c *Freeze) Validate() error { return checkProgram(c.Program) }

// Apply freezes it.
func (c *Freeze) Apply(ctx context.Context, ns *Namespace) (err error) {
	if c.target, err = findProgram(ctx, ns, c.Program); err != nil {
		return err
	}
	if c.target.keeper == nil {
		err = ns.Scope.Push(undo.Record{Step: &frozenProcesses{Name: c.Program, Processes: c.target.processes}})
	} else {
		err = ns.Scope.PushFunc("let "+c.Program+" go on", func(ctx context.Context) error { return c.target.freeze(ctx, false) })
	}
	if err != nil {
		return err
	}
	return c.target.freeze(ctx, true)
}

// Keys are its numbers.
func (*Freeze) Keys() units.Keys {
	return units.Keys{"frozen": {Means: "1 while the program is frozen, with all processes that had its name", Kind: units.Share}}
}

// Readings looks at the program.
func (c *Freeze) Readings(ctx context.Context) (map[string]float64, error) {
	frozen, err := c.target.frozen(ctx)
	return map[string]float64{"frozen": share(frozen)}, err
}
