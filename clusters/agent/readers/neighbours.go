package readers

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// neighboursKeys are the numbers of neighbours.
var neighboursKeys = units.Keys{
	"entries":   {Means: "addresses in the table", Kind: units.Gauge},
	"permanent": {Means: "those that were configured, and are not asked for", Kind: units.Gauge},
	"failed":    {Means: "those that do not answer (FAILED, INCOMPLETE)", Kind: units.Gauge},
	"shared":    {Means: "those that have the MAC address of another address of the same link", Kind: units.Gauge},
}

// neighbours counts the entries of the table, except those of the loopback and of links that need none.
func neighbours(context.Context) (map[string]float64, error) {
	list, err := netlink.NeighList(0, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	values := map[string]float64{"entries": 0, "permanent": 0, "failed": 0, "shared": 0}
	same := map[string]float64{}
	for _, n := range list {
		switch {
		case n.State&netlink.NUD_NOARP != 0:
			continue
		case n.State&netlink.NUD_PERMANENT != 0:
			values["permanent"]++
		case n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) != 0:
			values["failed"]++
		}
		values["entries"]++
		if n.HardwareAddr != nil {
			same[fmt.Sprint(n.LinkIndex, n.HardwareAddr)]++
		}
	}
	for _, addresses := range same {
		if addresses > 1 {
			values["shared"] += addresses
		}
	}
	return values, nil
}
