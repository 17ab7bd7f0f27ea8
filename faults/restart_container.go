package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// RestartContainer restarts a container of a pod with other arguments or another configuration, as a rollout does; on a real cluster that
// means new pods. It is applied when the container listens again on all its former TCP ports. Undoing it restarts the container with its
// former arguments and configuration.
type RestartContainer struct {
	// Container is its name in the pod.
	Container string `json:"container" ref:"container"`
	// Args replaces the container's args. Default: the args stay. The container's command is not changed.
	Args []string `json:"args,omitempty"`
	// Files replaces the text of keys of the container's ConfigMaps. Other keys stay.
	Files map[string]string `json:"files,omitempty" ref:"file"`

	programs program.Keeper
	changed  program.Spec
}

// Validate refuses a restart that changes nothing.
func (c *RestartContainer) Validate() error {
	if len(c.Args) == 0 && len(c.Files) == 0 {
		return errors.New("args or files are required: a restart without a change has no effect")
	}
	return nil
}

// Apply restarts the container.
func (c *RestartContainer) Apply(ctx context.Context, ns *Namespace) error {
	before, err := ns.Programs.Spec(ctx, c.Container)
	if err != nil {
		return err
	}
	ports, err := ns.Programs.Ports(ctx, c.Container)
	if err != nil {
		return err
	}
	if c.changed, err = c.change(before); err != nil {
		return err
	}
	c.programs = ns.Programs
	if err := ns.Scope.PushFunc("start container "+c.Container+" as it was", func(ctx context.Context) error {
		return ns.Programs.Restart(ctx, before, ports)
	}); err != nil {
		return err
	}
	return ns.Programs.Restart(ctx, c.changed, ports)
}

// change returns what to start in place of a program.
func (c *RestartContainer) change(before program.Spec) (program.Spec, error) {
	after := before
	if len(c.Args) > 0 {
		after.Argv = append(slices.Clone(before.Argv[:before.Command]), c.Args...)
	}
	after.Files = maps.Clone(before.Files)
	for key, text := range c.Files {
		found := false
		for file := range before.Files {
			if path.Base(file) == key {
				after.Files[file], found = text, true
			}
		}
		if !found {
			return after, fmt.Errorf("container %s: files: no ConfigMap that it mounts has the key %q", c.Container, key)
		}
	}
	return after, nil
}

// Keys are its numbers.
func (*RestartContainer) Keys() units.Keys {
	return units.Keys{"running": {Means: "1 while the container runs as it was changed", Kind: units.Share}}
}

// Readings looks at the container.
func (c *RestartContainer) Readings(ctx context.Context) (map[string]float64, error) {
	return running(ctx, c.programs, c.changed)
}

// running is 1 while a program runs as a change has started it.
func running(ctx context.Context, programs program.Keeper, changed program.Spec) (map[string]float64, error) {
	now, err := programs.Spec(ctx, changed.Name)
	as := err == nil && programs.Alive(ctx, changed.Name) == nil && slices.Equal(now.Argv, changed.Argv) && maps.Equal(now.Files, changed.Files)
	return map[string]float64{"running": share(as)}, nil
}
