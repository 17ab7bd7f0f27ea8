package readers

import (
	"context"
	"errors"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// conntrackKeys are the numbers of conntrack. A kernel that lacks one of the counters does not have its key. Source of their
// meanings: conntrack(8), option --stats.
var conntrackKeys = units.Keys{
	"count": {Means: "entries now", Kind: units.Gauge},
	"max":   {Means: "how many entries there may be (nf_conntrack_max)", Kind: units.Gauge},
	"used":  {Means: "count divided by max", Kind: units.Share},

	string(ctnetlink.Found):         {Means: "tuples that were looked for and found, such as a port that NAT cannot take"},
	string(ctnetlink.Invalid):       {Means: "packets that cannot be tracked: they belong to no flow, or do not fit it"},
	string(ctnetlink.Insert):        {Means: "entries that were inserted"},
	string(ctnetlink.InsertFailed):  {Means: "entries that could not be inserted: another flow has the same addresses and ports"},
	string(ctnetlink.Dropped):       {Means: "packets dropped because their entry could not be made or inserted"},
	string(ctnetlink.EarlyDrop):     {Means: "entries that were removed early, to make room"},
	string(ctnetlink.Error):         {Means: "packets that could not be handled because of an error, such as ICMP errors with unknown content"},
	string(ctnetlink.SearchRestart): {Means: "searches that began again, because the table was resized meanwhile"},
	string(ctnetlink.ClashResolve):  {Means: "clashes of two new entries that the kernel repaired, since Linux 5.10"},
	string(ctnetlink.ChainTooLong):  {Means: "entries that were not inserted because their hash chain is too long, since Linux 5.15"},
}

// conntrack reads the namespace's counters, which are those of conntrack -S summed over the processors, and beside them the size of its
// table.
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
