package lab

import (
	"context"
	"errors"

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
func (c *cluster) Follow(ctx context.Context, _ func(history.Log)) error {
	<-ctx.Done()
	return nil
}
