// Package await waits for what nobody announces, by looking again and again.
package await

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Look says what is missing, or nothing when the wait is over. An error does not end the wait: what cannot be seen now may be seen at
// the next look. Stop makes one that does.
type Look func(ctx context.Context) (missing string, err error)

// Until looks until nothing is missing. If limit passes or ctx ends before that, it returns an Unmet. A limit of 0 leaves it to ctx.
func Until(ctx context.Context, limit, every time.Duration, look Look) error {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s", limit))
		defer cancel()
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		missing, err := look(ctx)
		var end stop
		switch {
		case errors.As(err, &end):
			return end.error
		case err == nil && missing == "":
			return nil
		case err == nil:
			last = errors.New(missing)
		case ctx.Err() == nil || last == nil: // a look that failed because of the limit says less than the one before
			last = err
		}
		select {
		case <-ctx.Done():
			return &Unmet{Last: last, Why: context.Cause(ctx)}
		case <-tick.C:
		}
	}
}

// Unmet is the error of a wait that ended too early.
type Unmet struct {
	// Last is what the last look found missing, or its error.
	Last error
	// Why the wait ended: its limit, or the cause that ctx ended with.
	Why error
}

func (u *Unmet) Error() string { return fmt.Sprintf("%v; last seen: %v", u.Why, u.Last) }

// Unwrap returns both.
func (u *Unmet) Unwrap() []error { return []error{u.Last, u.Why} }

// Stop makes an error that ends the wait: Until returns err as it is.
func Stop(err error) error {
	if err == nil {
		return nil
	}
	return stop{err}
}

type stop struct{ error }
