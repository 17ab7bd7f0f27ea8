package lab

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/program"
)

// followPrograms hears the known lines of the programs that pods run, until ctx ends.
func (c *cluster) followPrograms(ctx context.Context, hear func(history.Log)) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, pod := range c.work.pods {
		place := podPlace(pod)
		for _, container := range pod.Spec.Containers {
			match := patterns(container.Image)
			if len(match) == 0 {
				continue
			}
			group.Go(func() error {
				following := program.Following{Name: container.Name, Match: match}
				_, err := program.Follow.Call(ctx, c.processes[place].conn, following, func(line string) {
					if entry, ok := known(container.Image, line); ok {
						entry.On = place
						hear(entry)
					}
				})
				if err != nil && ctx.Err() == nil { // it ends by being cancelled
					return err
				}
				return nil
			})
		}
	}
	return group.Wait()
}
