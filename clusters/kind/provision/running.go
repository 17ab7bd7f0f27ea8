package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/containers"
	"github.com/relapse-k8s/relapse/clusters/limits"
)

// WhileRunning is a context that ends, with the reason, when a node of the cluster has ended. When its function returns, nobody looks at
// the cluster any more.
func (c *Cluster) WhileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	var looking sync.WaitGroup
	looking.Go(func() {
		again := time.NewTicker(limits.NodesPoll)
		defer again.Stop()
		for ctx.Err() == nil {
			// A failed check does not end the context.
			if err := c.ranJustNow(ctx); errors.As(err, new(nodesEnded)) {
				cancel(err)
			}
			select {
			case <-ctx.Done():
			case <-again.C:
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		looking.Wait()
	}
}

// ranJustNow is Running, asked once for all who wait at the same time: each question starts a program.
func (c *Cluster) ranJustNow(ctx context.Context) error {
	c.ran.Lock()
	defer c.ran.Unlock()
	if time.Since(c.ranAt) >= limits.NodesPoll {
		c.ranAt, c.ranErr = time.Now(), c.Running(ctx)
	}
	return c.ranErr
}

// nodesEnded are nodes that have ended, each with its status in the engine.
type nodesEnded []string

func (n nodesEnded) Error() string { return strings.Join(n, "\n") }

// Running returns an error that names the nodes whose containers have ended.
func (c *Cluster) Running(ctx context.Context) error {
	text, err := c.engine.Run(ctx, "ps", "--all", "--filter", "label="+containers.LabelKindCluster+"="+c.Spec.Name, "--format", "{{.Names}}\t{{.State}}\t{{.Status}}")
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
