package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/relapse-k8s/relapse/clusters/agent/guard"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// ledger records how to undo everything that a cluster consists of. With a guard it outlives the harness.
type ledger struct {
	what    string
	guard   *guard.Guard
	records []undo.Record
}

// before records how to undo the next step, before it is taken.
func (l *ledger) before(ctx context.Context, records ...undo.Record) error {
	for _, r := range records {
		if err := r.Check(); err != nil {
			return err
		}
	}
	if l.guard != nil {
		if err := l.guard.Remember(ctx, l.what, records...); err != nil {
			return err
		}
	}
	l.records = append(l.records, records...)
	return nil
}

// undo undoes everything in reverse order, even if ctx ends. If the guard is gone, this process does it.
func (l *ledger) undo(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if l.guard != nil {
		if err := l.guard.Undo(ctx, l.what); err == nil {
			return nil
		}
	}
	var errs []error
	for _, r := range slices.Backward(l.records) {
		limited, cancel := context.WithTimeout(ctx, max(undo.DefaultTimeout, r.Limit()))
		if err := r.Undo(limited); err != nil {
			errs = append(errs, fmt.Errorf("undo: %w", err))
		}
		cancel()
	}
	return errors.Join(errs...)
}

// forget is for a cluster that stays.
func (l *ledger) forget(ctx context.Context) error {
	if l.guard == nil {
		return nil
	}
	err := l.guard.Forget(ctx, l.what)
	if err == nil {
		l.guard = nil // the guard has forgotten the cluster
	}
	return err
}
