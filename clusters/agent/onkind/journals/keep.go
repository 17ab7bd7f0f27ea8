package journals

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/relapse-k8s/relapse/clusters/limits"
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
	tick := time.NewTicker(limits.KeepPoll)
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
				wait := min(max(2*before.wait, limits.FirstRetry), limits.LastRetry)
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
