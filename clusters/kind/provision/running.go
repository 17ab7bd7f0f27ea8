package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/undo"
)

// runningEvery is how often is looked whether the nodes still run while something else is waited for.
const runningEvery = 2 * time.Second

// WhileRunning is a context that ends, with the reason, when a node of the cluster has: nobody need wait for it any longer.
func (c *Cluster) WhileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		again := time.NewTicker(runningEvery)
		defer again.Stop()
		for ctx.Err() == nil {
			// That it could not be looked is no end.
			if err := c.Running(ctx); errors.As(err, new(nodesEnded)) {
				cancel(err)
			}
			select {
			case <-ctx.Done():
			case <-again.C:
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// nodesEnded are nodes that have ended, each with what the engine says of it.
type nodesEnded []string

func (n nodesEnded) Error() string { return strings.Join(n, "\n") }

// Running is an error that names the nodes whose containers have ended.
func (c *Cluster) Running(ctx context.Context) error {
	text, err := c.engine.Run(ctx, "ps", "--all", "--filter", "label="+undo.LabelKindCluster+"="+c.Spec.Name, "--format", "{{.Names}}\t{{.State}}\t{{.Status}}")
	if err != nil {
		return err
	}
	var there []string
	var ended nodesEnded
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		there = append(there, fields[0])
		if len(fields) == 3 && (fields[1] == "exited" || fields[1] == "dead") {
			ended = append(ended, fmt.Sprintf("node %s has ended: %s", fields[0], fields[2]))
		}
	}
	for _, n := range c.Nodes {
		if !slices.Contains(there, n.Container) {
			ended = append(ended, fmt.Sprintf("node %s is gone", n.Container))
		}
	}
	if len(ended) > 0 {
		return ended
	}
	return nil
}
