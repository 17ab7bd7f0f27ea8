package readers

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// routesKeys are the numbers of routes.
var routesKeys = units.Keys{
	"default":     {Means: "default routes", Kind: units.Gauge},
	"via":         {Means: "other routes through a next hop, such as those to the pods of other nodes", Kind: units.Gauge},
	"link":        {Means: "other routes to a link without a next hop, such as those to neighbours", Kind: units.Gauge},
	"blackhole":   {Means: "routes of the type blackhole, which drop without an answer", Kind: units.Gauge},
	"unreachable": {Means: "routes of the types unreachable and prohibit, which drop and say so", Kind: units.Gauge},
}

// routes counts routes by their kind.
func routes(context.Context) (map[string]float64, error) {
	list, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	values := map[string]float64{}
	for key := range routesKeys {
		values[key] = 0
	}
	for _, r := range list {
		kind := "link"
		ones := 0
		if r.Dst != nil {
			ones, _ = r.Dst.Mask.Size()
		}
		switch {
		case r.Type == unix.RTN_BLACKHOLE:
			kind = "blackhole"
		case r.Type == unix.RTN_UNREACHABLE, r.Type == unix.RTN_PROHIBIT:
			kind = "unreachable"
		case ones == 0:
			kind = "default"
		case r.Gw != nil, r.Via != nil, len(r.MultiPath) > 0:
			kind = "via"
		}
		values[kind]++
	}
	return values, nil
}
