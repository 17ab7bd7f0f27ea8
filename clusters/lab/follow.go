package lab

import (
	"context"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/harness/history"
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
