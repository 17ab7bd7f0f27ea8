package lab

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/agent/program"
	"github.com/relapse-k8s/relapse/clusters/logs"
)

// source is a log to follow until ctx ends, which is not an error.
type source func(ctx context.Context, hear func(logs.Line)) error

// sources lists the logs to follow.
func (c *cluster) sources() []source {
	all := []source{func(ctx context.Context, _ func(logs.Line)) error { return c.keepCoreDNS(ctx) }}
	for _, name := range nodeNames(c.spec.Nodes) {
		all = append(all, func(ctx context.Context, hear func(logs.Line)) error {
			return c.followDrops(ctx, nodePlace(name), hear)
		})
	}
	for _, pod := range c.work.pods {
		for _, container := range pod.Spec.Containers {
			if match := logs.Patterns(container.Image); len(match) > 0 {
				all = append(all, func(ctx context.Context, hear func(logs.Line)) error {
					return c.followProgram(ctx, podPlace(pod), container, match, hear)
				})
			}
		}
	}
	return all
}

// Follow reports what the lab's programs and network policies log, one line at a time.
func (c *cluster) Follow(ctx context.Context, hear func(logs.Line)) error {
	var one sync.Mutex
	group, all := errgroup.WithContext(ctx)
	for _, source := range c.sources() {
		group.Go(func() error {
			return source(all, func(line logs.Line) {
				one.Lock()
				defer one.Unlock()
				hear(line)
			})
		})
	}
	if err := group.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

// followProgram reports the known lines of a container's program.
func (c *cluster) followProgram(ctx context.Context, place string, container corev1.Container, match []string, hear func(logs.Line)) error {
	following := program.Following{Name: container.Name, Match: match}
	_, err := program.Follow.Call(ctx, c.processes[place].Conn, following, func(line string) {
		if entry, ok := logs.Recognize(container.Image, line); ok {
			entry.On = place
			hear(entry)
		}
	})
	return err
}
