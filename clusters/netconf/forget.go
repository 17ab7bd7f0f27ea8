package netconf

import (
	"context"
	"net/netip"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
	"github.com/relapse-k8s/relapse/harness/agent"
)

// Forget deletes the conntrack entries of flows from or to any of these addresses, as their client means them: a node that lives on
// must not meet the flows of a workload that has gone.
var Forget = agent.Op[[]netip.Prefix, agent.None, agent.None]{Name: "net/forget"}

// HandleForget serves Forget.
func HandleForget(ctx context.Context, addresses []netip.Prefix, _ func(agent.None)) (agent.None, error) {
	table, err := ctnetlink.Open()
	if err != nil {
		return agent.None{}, err
	}
	defer table.Close()
	for _, a := range addresses {
		for _, f := range []ctnetlink.Filter{{Src: a}, {Dst: a}} {
			if _, err := table.DeleteWhere(ctx, f); err != nil {
				return agent.None{}, err
			}
		}
	}
	return agent.None{}, nil
}
