package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/relapse-k8s/relapse/cmd/relapse/suite"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// own keeps the scenarios of this machine's shard, in their order. Without --shard these are all, and the shard is nil.
func (f *runFlags) own(ctx context.Context, list []chosen) ([]chosen, *reports.Shard, error) {
	if f.shard == "" {
		if f.times != "" {
			return nil, nil, usage(errors.New("--times needs --shard"))
		}
		return list, nil, nil
	}
	shard, err := suite.ParseShard(f.shard)
	if err != nil {
		return nil, nil, usagef("invalid --shard: %w", err)
	}
	if shard.Of > len(list) {
		return nil, nil, usagef("invalid --shard %s: there are only %d scenarios, so at most as many shards", shard, len(list))
	}
	var took map[suite.Variant]time.Duration
	if f.times != "" {
		if took, err = suite.Recorded(ctx, f.times, f.target().cluster); err != nil {
			return nil, nil, usagef("--times: %w", err)
		}
	}
	var all []*scenario.Scenario
	for _, one := range list {
		all = append(all, one.scenario)
	}
	part := suite.Split(suite.Costs(all, took), shard.Of)[shard.Number-1]
	mine := slices.DeleteFunc(slices.Clone(list), func(one chosen) bool {
		return !slices.ContainsFunc(part, func(c suite.Cost) bool { return c.Scenario == one.scenario.Metadata.ID })
	})
	return mine, &reports.Shard{Number: shard.Number, Of: shard.Of, Scenarios: len(list)}, nil
}
