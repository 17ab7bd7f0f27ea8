package lab

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	corev1 "k8s.io/api/core/v1"

	"github.com/relapse-k8s/relapse/clusters/knownlines"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/program"
)

// source is something to be followed until ctx ends, which is no error.
type source func(ctx context.Context, hear func(history.Log)) error

// sources lists what there is to be followed.
func (c *cluster) sources() []source {
	var all []source
	for _, name := range nodeNames(c.spec.Nodes) {
		all = append(all, func(ctx context.Context, hear func(history.Log)) error {
			return c.followDrops(ctx, nodePlace(name), hear)
		})
	}
	for _, pod := range c.work.pods {
		for _, container := range pod.Spec.Containers {
			if match := knownlines.Patterns(container.Image); len(match) > 0 {
				all = append(all, func(ctx context.Context, hear func(history.Log)) error {
					return c.followProgram(ctx, podPlace(pod), container, match, hear)
				})
			}
		}
	}
	return all
}

// Follow hears what the lab's programs and network policies say, one line at a time.
func (c *cluster) Follow(ctx context.Context, hear func(history.Log)) error {
	var one sync.Mutex
	group, all := errgroup.WithContext(ctx)
	for _, source := range c.sources() {
		group.Go(func() error {
			return source(all, func(line history.Log) {
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

// followProgram hears the lines of a container's program that are known.
func (c *cluster) followProgram(ctx context.Context, place string, container corev1.Container, match []string, hear func(history.Log)) error {
	following := program.Following{Name: container.Name, Match: match}
	_, err := program.Follow.Call(ctx, c.processes[place].Conn, following, func(line string) {
		if entry, ok := knownlines.Recognize(container.Image, line); ok {
			entry.On = place
			hear(entry)
		}
	})
	return err
}
