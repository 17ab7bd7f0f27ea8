package kind

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits of waits, and how often is looked.
const (
	sweepLimit  = time.Minute
	podsLimit   = 90 * time.Second
	reachLimit  = 30 * time.Second
	settleLimit = 30 * time.Second
	// sameLimit is how long the nodes may take to look as before when a workload has gone.
	sameLimit = 45 * time.Second
	// takeDownLimit is how long what there is of a workload may take to be gone.
	takeDownLimit = 2 * time.Minute
	lookEvery     = 200 * time.Millisecond
)

// eventually is a wait for something of the cluster, which ends with the reason where a node of it has ended.
func (k *Kind) eventually(ctx context.Context, limit time.Duration, look func(context.Context) (missing string, err error)) error {
	ctx, done := k.cluster.WhileRunning(ctx)
	defer done()
	return eventually(ctx, limit, look)
}

// eventually looks until there is nothing left to wait for, and returns what was missing or wrong the last time when the limit or ctx ends.
func eventually(ctx context.Context, limit time.Duration, look func(context.Context) (missing string, err error)) error {
	limited, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("limit of %s", limit))
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last error
	for {
		missing, err := look(limited)
		switch {
		case err == nil && missing == "":
			return nil
		case err == nil:
			last = errors.New(missing)
		case limited.Err() == nil || last == nil: // one that is due to the limit says less than the one before
			last = err
		}
		select {
		case <-limited.Done():
			return fmt.Errorf("%w (%w)", last, context.Cause(limited))
		case <-tick.C:
		}
	}
}
