package netconf

import (
	"context"
	"net/netip"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// Forget deletes the conntrack entries of flows from or to any of these addresses, as the client sees them. If a node outlives a
// workload, the flows of that workload must not affect the next one.
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
