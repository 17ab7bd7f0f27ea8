package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Route changes one IPv4 route of the main table: use it for a route that is missing, leads to the wrong next hop, or drops. Of several
// routes to one destination it changes the one with the lowest metric.
type Route struct {
	// Action is delete, replace (by one through another next hop; there need not have been one), blackhole (drops without an answer) or
	// unreachable (drops, and tells the sender).
	Action string `json:"action" jsonschema:"enum=delete,enum=replace,enum=blackhole,enum=unreachable"`
	// To is the destination, such as 10.244.2.0/24, or default. Give to or toPod.
	To string `json:"to,omitempty"`
	// ToPod is a pod: the destination is that of the route by which packets get to it now, such as all pods of its node.
	ToPod string `json:"toPod,omitempty" ref:"pod"`
	// Exact limits the destination to the pod's own address.
	Exact bool `json:"exact,omitempty"`
	// Via is the IPv4 address of the new next hop.
	Via string `json:"via,omitempty"`
	// ViaNodeOf is a pod whose node is the new next hop.
	ViaNodeOf string `json:"viaNodeOf,omitempty" ref:"pod"`

	// to, kind and via are what Apply has found; kind is 0 for a deleted route.
	to   netip.Prefix
	kind uint8
	via  netip.Addr
}

// Validate checks the settings.
func (c *Route) Validate() error {
	if (c.To == "") == (c.ToPod == "") {
		return errors.New("give to or toPod")
	}
	if c.Exact && c.ToPod == "" {
		return errors.New("exact needs toPod")
	}
	if c.Action == "replace" && (c.Via == "") == (c.ViaNodeOf == "") {
		return errors.New("replace needs via or viaNodeOf")
	}
	if c.Action != "replace" && (c.Via != "" || c.ViaNodeOf != "") {
		return errors.New("only replace has a next hop")
	}
	if c.Via != "" {
		if err := ipv4("via", c.Via); err != nil {
			return err
		}
	}
	if c.To == "" || c.To == "default" {
		return nil
	}
	return ipv4Network("to", c.To)
}

// NeedsAddresses names the pod and the node that Apply has to find.
func (c *Route) NeedsAddresses() (of []string) {
	if c.ToPod != "" {
		of = append(of, c.ToPod)
	}
	if c.ViaNodeOf != "" {
		of = append(of, "node-of/"+c.ViaNodeOf)
	}
	return of
}

// Apply changes the route. One that is so already is an error: the change would change nothing.
func (c *Route) Apply(_ context.Context, ns *Namespace) error {
	route, err := c.find(ns)
	if err != nil {
		return err
	}
	replacement := &netlink.Route{}
	switch c.Action {
	case "delete":
		if route == nil {
			return fmt.Errorf("there is no route to %s", c.to)
		}
		c.kind, replacement = 0, nil
	case "replace":
		c.kind, c.via = unix.RTN_UNICAST, ns.Addresses["node-of/"+c.ViaNodeOf]
		if c.Via != "" {
			c.via, err = netip.ParseAddr(c.Via)
		}
		replacement.Gw = c.via.AsSlice()
	case "blackhole":
		c.kind, replacement.Type = unix.RTN_BLACKHOLE, unix.RTN_BLACKHOLE
	default:
		c.kind, replacement.Type = unix.RTN_UNREACHABLE, unix.RTN_UNREACHABLE
	}
	if err == nil && c.is(route) {
		err = fmt.Errorf("the route to %s is so already, so setting it would change nothing", c.to)
	}
	if err != nil {
		return err
	}
	return ns.Scope.SetRoute(c.to, replacement)
}

// find returns the route that there is to the destination, or nil.
func (c *Route) find(ns *Namespace) (route *undo.ListedRoute, err error) {
	switch {
	case c.Exact:
		c.to = netip.PrefixFrom(ns.Addresses[c.ToPod], 32)
	case c.ToPod != "":
		if route, err = undo.RouteTowards(ns.Addresses[c.ToPod]); err != nil {
			return nil, err
		}
		if route == nil {
			return nil, fmt.Errorf("no route leads to pod %s", c.ToPod)
		}
		c.to = route.Prefix
		return route, nil
	case c.To == "default":
		c.to = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	default:
		if c.to, err = netip.ParsePrefix(c.To); err != nil {
			return nil, err
		}
	}
	return undo.RouteTo(c.to)
}

// is tells whether a route is as the change makes it.
func (c *Route) is(route *undo.ListedRoute) bool {
	if route == nil {
		return c.kind == 0
	}
	return route.Type == c.kind && route.Gateway == c.via
}

// Keys are its numbers.
func (*Route) Keys() units.Keys {
	return units.Keys{"set": {Means: "1 while the route is as the change makes it, otherwise 0", Kind: units.Share}}
}

// Readings reads the route.
func (c *Route) Readings(context.Context) (map[string]float64, error) {
	route, err := undo.RouteTo(c.to)
	if err != nil {
		return nil, err
	}
	return map[string]float64{"set": share(c.is(route))}, nil
}
