package undo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route deletes a route that was added.
type Route struct {
	// Dst is the destination: 10.1.0.0/16; 0.0.0.0/0 or ::/0 for a default route.
	Dst string `json:"dst"`
	// Via is the gateway, if there is one.
	Via string `json:"via,omitempty"`
	// Link is the name of the link that it goes out of, if there is one.
	Link string `json:"link,omitempty"`
	// Table it is in; 0 is the main table.
	Table int `json:"table,omitempty"`
	// Metric of the route.
	Metric int `json:"metric,omitempty"`
	// Type: unicast when empty, else blackhole, unreachable, prohibit or throw.
	Type string `json:"type,omitempty"`
}

var routeTypes = map[string]int{
	"": unix.RTN_UNICAST, "unicast": unix.RTN_UNICAST, "blackhole": unix.RTN_BLACKHOLE,
	"unreachable": unix.RTN_UNREACHABLE, "prohibit": unix.RTN_PROHIBIT, "throw": unix.RTN_THROW,
}

func (r *Route) String() string {
	var b strings.Builder
	b.WriteString("delete route ")
	if r.Type != "" {
		b.WriteString(r.Type + " ")
	}
	b.WriteString(r.Dst)
	if r.Via != "" {
		b.WriteString(" via " + r.Via)
	}
	if r.Link != "" {
		b.WriteString(" dev " + r.Link)
	}
	if r.Table != 0 {
		fmt.Fprintf(&b, " table %d", r.Table)
	}
	if r.Metric != 0 {
		fmt.Fprintf(&b, " metric %d", r.Metric)
	}
	return b.String()
}

func (r *Route) check() error {
	if _, err := netip.ParsePrefix(r.Dst); err != nil {
		return err
	}
	if _, ok := routeTypes[r.Type]; !ok {
		return fmt.Errorf("route type %q is none of unicast, blackhole, unreachable, prohibit, throw", r.Type)
	}
	if r.Via != "" {
		if _, err := netip.ParseAddr(r.Via); err != nil {
			return err
		}
	}
	return nil
}

func (r *Route) undo(context.Context) error {
	_, dst, err := net.ParseCIDR(r.Dst)
	if err != nil {
		return err
	}
	route := &netlink.Route{Dst: dst, Table: r.Table, Priority: r.Metric, Type: routeTypes[r.Type]}
	if r.Via != "" {
		route.Gw = net.ParseIP(r.Via)
	}
	if r.Link != "" {
		link, err := findLink(r.Link)
		if err != nil || link == nil {
			return err
		}
		route.LinkIndex = link.Attrs().Index
	}
	// ESRCH is the kernel's word for no such route, also when the link is down and has lost it.
	if err := netlink.RouteDel(route); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}
