package undo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Route puts back the IPv4 route to a destination. If there was none, it deletes what is there now.
type Route struct {
	// To is a CIDR; 0.0.0.0/0 is the default route. Table and metric tell routes to the same destination apart.
	To     string `json:"to"`
	Table  uint32 `json:"table"`
	Metric uint32 `json:"metric,omitempty"`
	// Before is the route in the kernel's own words (a message of rtnetlink), as ip route save keeps it; empty if there was none.
	Before []byte `json:"before,omitempty"`
}

// ListedRoute is a route as the kernel lists it.
type ListedRoute struct {
	Route
	Prefix netip.Prefix
	// Type is unix.RTN_UNICAST, RTN_BLACKHOLE and the like; Protocol says who made it.
	Type, Protocol uint8
	// Link is the index of the link that it leads to, and Gateway the next hop, if there is exactly one.
	Link    int
	Gateway netip.Addr
}

// routes lists the IPv4 routes of all tables but the local one.
func routes() ([]ListedRoute, error) {
	messages, err := whole(func() ([][]byte, error) {
		request := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
		message := nl.NewRtMsg()
		message.Family = unix.AF_INET
		request.AddData(message)
		return request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var list []ListedRoute
	for _, message := range messages {
		r, err := parseRoute(message)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		if r.Table != unix.RT_TABLE_LOCAL {
			list = append(list, r)
		}
	}
	return list, nil
}

func parseRoute(message []byte) (ListedRoute, error) {
	if len(message) < unix.SizeofRtMsg {
		return ListedRoute{}, fmt.Errorf("a route of %d bytes", len(message))
	}
	message = bytes.Clone(message)
	head := nl.DeserializeRtMsg(message)
	// Both say how the link is now. The kernel refuses them when a route is made.
	head.Flags &^= unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN
	attributes, err := nl.ParseRouteAttr(message[unix.SizeofRtMsg:])
	if err != nil {
		return ListedRoute{}, err
	}
	r := ListedRoute{Route: Route{Table: uint32(head.Table), Before: message}, Type: head.Type, Protocol: head.Protocol}
	to := netip.IPv4Unspecified()
	for _, a := range attributes {
		switch a.Attr.Type {
		case unix.RTA_DST:
			to, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_GATEWAY:
			r.Gateway, _ = netip.AddrFromSlice(a.Value)
		case unix.RTA_TABLE:
			r.Table = binary.NativeEndian.Uint32(a.Value)
		case unix.RTA_PRIORITY:
			r.Metric = binary.NativeEndian.Uint32(a.Value)
		case unix.RTA_OIF:
			r.Link = int(binary.NativeEndian.Uint32(a.Value))
		}
	}
	r.Prefix = netip.PrefixFrom(to, int(head.Dst_len))
	r.To = r.Prefix.String()
	return r, nil
}

// routesOf are the records of the routes that the kernel deletes if a link goes down, and does not make again by itself. Those that lead to
// next hops of others come first, and so are restored last.
func routesOf(link netlink.Link) ([]Record, error) {
	list, err := routes()
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b ListedRoute) int {
		switch {
		case a.Gateway.IsValid() == b.Gateway.IsValid():
			return 0
		case a.Gateway.IsValid():
			return -1
		}
		return 1
	})
	var records []Record
	for _, r := range list {
		if r.Link == link.Attrs().Index && r.Protocol != unix.RTPROT_KERNEL {
			records = append(records, Record{Route: &r.Route})
		}
	}
	return records, nil
}

// RouteTowards returns the route of the main table that holds for an address, or nil: the longest prefix, then the lowest metric.
func RouteTowards(to netip.Addr) (*ListedRoute, error) {
	return bestRoute(func(p netip.Prefix) bool { return p.Contains(to) })
}

// RouteTo returns the route of the main table with this destination and the lowest metric, or nil.
func RouteTo(to netip.Prefix) (*ListedRoute, error) {
	return bestRoute(func(p netip.Prefix) bool { return p == to })
}

func bestRoute(matches func(netip.Prefix) bool) (best *ListedRoute, err error) {
	list, err := routes()
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		if r.Table != unix.RT_TABLE_MAIN || !matches(r.Prefix) {
			continue
		}
		if best == nil || r.Prefix.Bits() > best.Prefix.Bits() || r.Prefix.Bits() == best.Prefix.Bits() && r.Metric < best.Metric {
			best = &r
		}
	}
	return best, nil
}

// SetRoute replaces the route to a destination in the main table, or deletes it if route is nil. Of several routes to it, it is the one with
// the lowest metric.
func (s *Scope) SetRoute(to netip.Prefix, route *netlink.Route) error {
	s.stack.changing.Lock()
	defer s.stack.changing.Unlock()
	old, err := RouteTo(to)
	if err != nil {
		return err
	}
	record := &Route{To: to.String(), Table: unix.RT_TABLE_MAIN}
	if old != nil {
		record = &old.Route
	}
	if err := s.Push(Record{Route: record}); err != nil {
		return err
	}
	if route == nil {
		return record.request(unix.RTM_DELROUTE, 0, record.Before)
	}
	route.Dst = &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), to.Addr().BitLen())}
	route.Priority = int(record.Metric)
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", to, err)
	}
	return nil
}

func (r *Route) request(what, flags int, message []byte) error {
	request := nl.NewNetlinkRequest(what, flags|unix.NLM_F_ACK)
	request.AddRawData(message)
	if _, err := request.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("route to %s: %w", r.To, err)
	}
	return nil
}

func (r *Route) String() string {
	where := fmt.Sprintf("route to %s in table %d with metric %d", r.To, r.Table, r.Metric)
	if len(r.Before) == 0 {
		return "delete " + where
	}
	return "restore " + where
}

func (r *Route) check() error {
	if len(r.Before) > 0 {
		was, err := parseRoute(r.Before)
		if err != nil {
			return err
		}
		if was.To != r.To || was.Table != r.Table || was.Metric != r.Metric {
			return fmt.Errorf("its old route leads to %s in table %d with metric %d", was.To, was.Table, was.Metric)
		}
	}
	_, err := netip.ParsePrefix(r.To)
	return err
}

func (r *Route) undo(context.Context) error {
	list, err := routes()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(now ListedRoute) bool { return now.To == r.To && now.Table == r.Table && now.Metric == r.Metric })
	switch {
	case len(r.Before) == 0 && i < 0, i >= 0 && bytes.Equal(list[i].Before, r.Before):
		return nil
	case len(r.Before) == 0:
		return r.request(unix.RTM_DELROUTE, 0, list[i].Before)
	}
	err = r.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, r.Before)
	if errors.Is(err, unix.ENODEV) {
		return nil // its link has gone, and the kernel has deleted the link's routes with it
	}
	return err
}
