package fingerprint

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// takeRoutes reads the routes of all tables. It leaves out those that the kernel adds by itself: in the local table (from the addresses;
// with IPv6 only after duplicate address detection), IPv6 link-local and multicast routes (when a link gets its carrier), and routes that
// routers advertise.
func (fp *Fingerprint) takeRoutes(h *netlink.Handle, names map[int]string) error {
	fp.Routes = []string{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := whole("routes", func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return err
		}
		for _, r := range routes {
			if followsByItself(r, family) {
				continue
			}
			fp.Routes = append(fp.Routes, routeText(r, family, names))
		}
	}
	slices.Sort(fp.Routes)
	return nil
}

func followsByItself(r netlink.Route, family int) bool {
	switch r.Protocol {
	case unix.RTPROT_RA, unix.RTPROT_REDIRECT:
		return true
	case unix.RTPROT_KERNEL:
		linkScoped := r.Dst != nil && (r.Dst.IP.IsLinkLocalUnicast() || r.Dst.IP.IsMulticast())
		return r.Table == unix.RT_TABLE_LOCAL || family == netlink.FAMILY_V6 && linkScoped
	}
	return false
}

var routeTypes = map[int]string{
	unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast",
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw",
}

func routeText(r netlink.Route, family int, names map[int]string) string {
	var words []string
	add := func(set bool, format string, args ...any) {
		if set {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	if kind, ok := routeTypes[r.Type]; ok {
		words = append(words, kind)
	}
	dst := map[int]string{netlink.FAMILY_V4: "0.0.0.0/0", netlink.FAMILY_V6: "::/0"}[family]
	if r.Dst != nil {
		dst = r.Dst.String()
	}
	words = append(words, dst)
	add(r.Gw != nil, "via %s", r.Gw)
	add(r.Via != nil, "via %v", r.Via)
	add(r.LinkIndex != 0, "dev %s", nameOf(names, r.LinkIndex))
	add(r.Src != nil, "src %s", r.Src)
	for _, hop := range r.MultiPath {
		add(true, "nexthop via %s dev %s weight %d", hop.Gw, nameOf(names, hop.LinkIndex), hop.Hops+1)
	}
	add(r.Table != unix.RT_TABLE_MAIN, "table %d", r.Table)
	add(r.Priority != 0, "metric %d", r.Priority)
	add(r.Tos != 0, "tos %d", r.Tos)
	add(r.MTU != 0, "mtu %d", r.MTU)
	add(r.AdvMSS != 0, "advmss %d", r.AdvMSS)
	add(r.Encap != nil, "encap %v", r.Encap)
	add(r.Flags&int(netlink.FLAG_ONLINK) != 0, "onlink")
	add(true, "proto %s", r.Protocol)
	add(true, "scope %s", r.Scope)
	return strings.Join(words, " ")
}

// takeRules reads the policy routing rules.
func (fp *Fingerprint) takeRules(h *netlink.Handle) error {
	fp.Rules = []string{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		rules, err := whole("rules", func() ([]netlink.Rule, error) { return h.RuleList(family) })
		if err != nil {
			return err
		}
		for _, r := range rules {
			fp.Rules = append(fp.Rules, ruleText(r, family))
		}
	}
	slices.Sort(fp.Rules)
	return nil
}

func ruleText(r netlink.Rule, family int) string {
	words := []string{map[int]string{netlink.FAMILY_V4: "ip", netlink.FAMILY_V6: "ip6"}[family], fmt.Sprintf("%d:", max(r.Priority, 0))}
	add := func(set bool, format string, args ...any) {
		if set {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	prefix := func(n *net.IPNet) string {
		if n == nil {
			return "all"
		}
		return n.String()
	}
	add(r.Invert, "not")
	add(true, "from %s to %s", prefix(r.Src), prefix(r.Dst))
	add(r.IifName != "", "iif %s", r.IifName)
	add(r.OifName != "", "oif %s", r.OifName)
	if r.Mark != 0 {
		mask := uint32(0xffffffff)
		if r.Mask != nil {
			mask = *r.Mask
		}
		add(true, "fwmark %#x/%#x", r.Mark, mask)
	}
	add(r.Tos != 0, "tos %d", r.Tos)
	add(r.IPProto > 0, "ipproto %d", r.IPProto)
	add(r.Sport != nil, "sport %v", r.Sport)
	add(r.Dport != nil, "dport %v", r.Dport)
	add(r.UIDRange != nil, "uidrange %v", r.UIDRange)
	add(r.SuppressPrefixlen >= 0, "suppress_prefixlength %d", r.SuppressPrefixlen)
	add(r.Goto >= 0, "goto %d", r.Goto)
	add(r.Goto < 0, "lookup %d", r.Table)
	add(r.Type != 0 && r.Type != unix.RTN_UNICAST, "type %d", r.Type)
	return strings.Join(words, " ")
}
