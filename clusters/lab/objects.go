package lab

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/harness/history"
)

// Apply creates or replaces an object.
func (c *cluster) Apply(context.Context, []byte) error {
	return errors.New("the lab cannot apply objects yet")
}

// Delete takes an object away.
func (c *cluster) Delete(context.Context, string, string, string) error {
	return errors.New("the lab cannot delete objects yet")
}

// Follow hears what the lab's programs and network policies say.
func (c *cluster) Follow(ctx context.Context, hear func(history.Log)) error {
	group, following := errgroup.WithContext(ctx)
	for _, source := range []func(context.Context, func(history.Log)) error{c.followPrograms} {
		group.Go(func() error { return source(following, hear) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}
