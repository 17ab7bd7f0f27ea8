package readers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// linksKeys are the numbers of links.
var linksKeys = units.Keys{
	"uplink-mtu":       {Means: "MTU of the link of the default route", Kind: units.Gauge},
	"overlay-mtu":      {Means: "MTU of the VXLAN or Geneve device", Kind: units.Gauge},
	"overlay-sent":     {Means: "packets that this device has sent"},
	"overlay-received": {Means: "packets that it has received"},
	"down":             {Means: "bridges, VXLAN and Geneve devices and ends of veth pairs that are down", Kind: units.Gauge},
	"hairpin-off":      {Means: "ports of bridges that do not send a packet back through the port that it came from", Kind: units.Gauge},
}

// links reads the links. Without an uplink or an overlay, or with several, there are no numbers of it.
func links(context.Context) (map[string]float64, error) {
	list, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	values := map[string]float64{"down": 0, "hairpin-off": 0}
	bridges := map[int]bool{}
	for _, link := range list {
		bridges[link.Attrs().Index] = link.Type() == "bridge"
	}
	for _, link := range list {
		if link.Attrs().Flags&net.FlagUp == 0 && slices.Contains([]string{"bridge", "vxlan", "geneve", "veth"}, link.Type()) {
			values["down"]++
		}
		if !bridges[link.Attrs().MasterIndex] {
			continue
		}
		port, err := netlink.LinkGetProtinfo(link)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return nil, fmt.Errorf("port %s: %w", link.Attrs().Name, err)
		}
		if !port.Hairpin {
			values["hairpin-off"]++
		}
	}
	if link, err := netconf.Uplink(); err == nil {
		values["uplink-mtu"] = float64(link.Attrs().MTU)
	}
	if link, err := netconf.Overlay(); err == nil {
		values["overlay-mtu"] = float64(link.Attrs().MTU)
		if s := link.Attrs().Statistics; s != nil {
			values["overlay-sent"], values["overlay-received"] = float64(s.TxPackets), float64(s.RxPackets)
		}
	}
	return values, nil
}
