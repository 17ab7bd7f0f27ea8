package faults

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Links are chosen by their role, because their names differ between clusters.

// uplink is the link of the default route, or else the only link that is up and not the loopback.
func uplink() (netlink.Link, error) {
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

// overlay is the device through which packets to the pods of other nodes pass.
func overlay() (netlink.Link, error) {
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

// port is the node's link that leads to a pod: a port of a bridge, or the node's end of the pod's veth pair.
func port(ns *Namespace, pod string) (netlink.Link, error) {
	elsewhere := fmt.Errorf("pod %s: no link of %s leads to it", pod, ns.Place)
	link, err := netlink.LinkByIndex(ns.Ports[pod])
	if err != nil {
		return nil, errors.Join(elsewhere, err)
	}
	// Links of other nodes have the same numbers.
	route, err := undo.RouteTowards(ns.Addresses[pod])
	if err != nil {
		return nil, err
	}
	if route == nil || route.Link != link.Attrs().Index && route.Link != link.Attrs().MasterIndex {
		return nil, elsewhere
	}
	return link, nil
}
