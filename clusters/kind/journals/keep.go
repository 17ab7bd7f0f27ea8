package journals

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// keepEvery is how often the owners of journals are looked at.
	keepEvery = 500 * time.Millisecond
	// What could not be undone is tried again later and later.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Keeper undoes what dead agents have left.
type Keeper struct {
	// Dir is the folder of all journals.
	Dir string
	// Undo undoes one journal, in the namespaces of its owner.
	Undo func(context.Context, Left) error
	// Log hears what was found and done.
	Log io.Writer
}

// trouble is a journal that could not be undone.
type trouble struct {
	next time.Time
	wait time.Duration
}

// Keep looks after the folder until ctx ends.
func (k *Keeper) Keep(ctx context.Context) error {
	if err := os.MkdirAll(k.Dir, 0o700); err != nil {
		return err
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	troubles := map[string]trouble{}
	said := ""
	for {
		all, err := dead(k.Dir)
		if err != nil && err.Error() != said {
			said = err.Error()
			fmt.Fprintln(k.Log, said)
		}
		for _, left := range all {
			before := troubles[left.Folder]
			if time.Now().Before(before.next) {
				continue
			}
			fmt.Fprintf(k.Log, "%s: died without undoing its changes\n", left.Owner)
			if err := k.Undo(ctx, left); err != nil {
				wait := min(max(2*before.wait, firstRetry), lastRetry)
				troubles[left.Folder] = trouble{time.Now().Add(wait), wait}
				fmt.Fprintf(k.Log, "%s: %v; next try in %s\n", left.Owner, err, wait)
				continue
			}
			delete(troubles, left.Folder)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
