package netconf

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Links are chosen by their role, because their names differ between clusters.

// Uplink is the link of the default route, or else the only link that is up and not the loopback.
func Uplink() (netlink.Link, error) {
	route, err := undo.RouteTo(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		return nil, err
	}
	if route != nil && route.Link != 0 {
		return netlink.LinkByIndex(route.Link)
	}
	return onlyLink("uplink: there is no default route", func(l netlink.Link) bool {
		return l.Attrs().Flags&net.FlagUp != 0 && l.Attrs().Flags&net.FlagLoopback == 0
	})
}

// Overlay is the device through which packets to the pods of other nodes pass.
func Overlay() (netlink.Link, error) {
	return onlyLink("overlay: VXLAN or Geneve", func(l netlink.Link) bool { return slices.Contains([]string{"vxlan", "geneve"}, l.Type()) })
}

func onlyLink(what string, is func(netlink.Link) bool) (netlink.Link, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	links = slices.DeleteFunc(links, func(l netlink.Link) bool { return !is(l) })
	if len(links) != 1 {
		return nil, fmt.Errorf("%s, and there are %d such links", what, len(links))
	}
	return links[0], nil
}
