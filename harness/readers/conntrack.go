// Package readers takes the numbers that detectors and expectations look at. They are read in the agent of a place.
package readers

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// Read is the operation: the name of a reader in, its numbers out.
var Read = agent.Op[string, agent.None, map[string]float64]{Name: "read"}

// Reader takes its numbers in the namespace that it is called in.
type Reader func(ctx context.Context) (map[string]float64, error)

// Catalogue lists the readers of what the kernel counts by itself.
var Catalogue = map[string]Reader{
	"conntrack": conntrack,
	"services":  services,
	"snmp":      snmp,
}

// Register adds the operation. More are readers of what relapse has made itself.
func Register(ops map[string]agent.Handler, more map[string]Reader) {
	Read.Handle(ops, func(ctx context.Context, name string, _ func(agent.None)) (map[string]float64, error) {
		reader, ok := Catalogue[name]
		if !ok {
			reader, ok = more[name]
		}
		if !ok {
			return nil, errors.New("this agent knows no reader " + name)
		}
		return reader(ctx)
	})
}

// conntrack reads the namespace's counters, which are those of conntrack -S summed over the processors, and beside them
// count (entries now), max (the limit) and used (count divided by max).
func conntrack(ctx context.Context) (map[string]float64, error) {
	table, err := ctnetlink.Open()
	if err != nil {
		return nil, err
	}
	defer table.Close()
	stats, err1 := table.Stats(ctx)
	count, err2 := table.Count(ctx)
	limit, err3 := table.Max(ctx)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	values := map[string]float64{"count": float64(count), "max": float64(limit)}
	if limit > 0 {
		values["used"] = float64(count) / float64(limit)
	}
	for key, value := range stats {
		values[string(key)] = float64(value)
	}
	return values, nil
}
