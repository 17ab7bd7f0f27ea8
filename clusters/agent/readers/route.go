package readers

import (
	"context"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// routeKeys are the numbers of the route to a pod.
var routeKeys = units.Keys{
	"prefix": {Means: "length of the prefix of the route that leads to the pod's address: 0 for the default route, -1 if there is none", Kind: units.Signed},
	"drops":  {Means: "1 if it is of the type blackhole, unreachable or prohibit, otherwise 0", Kind: units.Share},
}

// route finds the route of the main table that leads to an address.
func route(_ context.Context, to netip.Addr) (map[string]float64, error) {
	found, err := undo.RouteTowards(to)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{"prefix": -1, "drops": 0}
	if found != nil {
		values["prefix"] = float64(found.Prefix.Bits())
		if found.Type == unix.RTN_BLACKHOLE || found.Type == unix.RTN_UNREACHABLE || found.Type == unix.RTN_PROHIBIT {
			values["drops"] = 1
		}
	}
	return values, nil
}
