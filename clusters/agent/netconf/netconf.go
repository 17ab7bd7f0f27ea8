// Package netconf configures the network of one namespace from inside it. It runs in agents. Nothing here is undone: namespaces of the
// lab end with their agents, and nodes of kind keep their configuration (a route).
//
//	netconf.go     links, addresses, routes, neighbours, kernel settings
//	role.go        which link is the uplink, which the overlay
//	wire.go        veth pairs between namespaces
//	masquerade.go  the rule that hides pods' addresses
//	forget.go      conntrack entries of pods that are gone
//	reach.go       whether the network that was set up leads to an address
package netconf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// Config is the network of one namespace. Its parts are applied in the order of the fields.
type Config struct {
	// Sysctls by key, such as net.ipv4.ip_forward. A key that ends in ? is set only if the kernel has it.
	Sysctls map[string]string
	// Bridges to create, by name.
	Bridges []string
	// VXLAN device to create.
	VXLAN *VXLAN
	// Links that exist already (the ends of wires) or were created above.
	Links []Link
	// Routes to add.
	Routes []Route
	// Masquerade, if given, hides addresses of this CIDR behind the node's when they leave it, with fully-random ports as
	// kube-proxy and the CNI plugins do.
	Masquerade string
	// Neighbours are permanent entries of the neighbour table, and of the forwarding table if VTEP is given.
	Neighbours []Neighbour
}

// VXLAN is a VXLAN device, configured as flannel does: no learning, one entry for each peer.
type VXLAN struct {
	Name  string
	ID    int
	Port  int
	Local string // the address that packets to other nodes come from
	MAC   string
}

// Link is a link to be configured.
type Link struct {
	Name      string
	Master    string // bridge to join
	Addresses []string
	// Hairpin lets the bridge send a packet back through the port it came from.
	Hairpin bool
}

// Route is a route; OnLink means that the gateway needs no route of its own.
type Route struct {
	To     string // CIDR; "" is the default route
	Via    string
	Link   string
	OnLink bool
}

// Neighbour says which MAC address an IP address has, and which VTEP that MAC is behind.
type Neighbour struct {
	Link, IP, MAC, VTEP string
}

// Configure applies a Config in the agent's namespace.
var Configure = agent.Op[Config, agent.None, agent.None]{Name: "net/configure"}

// HandleConfigure serves Configure.
func HandleConfigure(_ context.Context, c Config, _ func(agent.None)) (agent.None, error) {
	return agent.None{}, c.apply()
}

func (c Config) apply() error {
	for key, value := range c.Sysctls {
		key, optional := strings.CutSuffix(key, "?")
		if err := os.WriteFile(undo.SysctlPath(key), []byte(value), 0o644); err != nil && !(optional && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("sysctl %s=%s: %w", key, value, err)
		}
	}
	for _, name := range c.Bridges {
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: named(name)}); err != nil {
			return fmt.Errorf("bridge %s: %w", name, err)
		}
	}
	if c.VXLAN != nil {
		if err := c.VXLAN.add(); err != nil {
			return fmt.Errorf("VXLAN device %s: %w", c.VXLAN.Name, err)
		}
	}
	for _, link := range append([]Link{{Name: "lo"}}, c.Links...) { // lo is up everywhere
		if err := link.apply(); err != nil {
			return fmt.Errorf("link %s: %w", link.Name, err)
		}
	}
	for _, route := range c.Routes {
		if err := route.add(); err != nil {
			return fmt.Errorf("route to %q via %q dev %s: %w", route.To, route.Via, route.Link, err)
		}
	}
	if c.Masquerade != "" {
		if err := masquerade(c.Masquerade); err != nil {
			return fmt.Errorf("masquerade %s: %w", c.Masquerade, err)
		}
	}
	for _, n := range c.Neighbours {
		if err := n.add(); err != nil {
			return fmt.Errorf("neighbour %s on %s: %w", n.IP, n.Link, err)
		}
	}
	return nil
}

func named(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return attrs
}

func (v VXLAN) add() error {
	mac, err := net.ParseMAC(v.MAC)
	if err != nil {
		return err
	}
	attrs := named(v.Name)
	attrs.HardwareAddr = mac
	return netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: attrs, VxlanId: v.ID, Port: v.Port, SrcAddr: net.ParseIP(v.Local), Learning: false})
}

func (l Link) apply() error {
	link, err := netlink.LinkByName(l.Name)
	if err != nil {
		return err
	}
	for _, cidr := range l.Addresses {
		address, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return fmt.Errorf("address %s: %w", cidr, err)
		}
	}
	if l.Master != "" {
		master, err := netlink.LinkByName(l.Master)
		if err != nil {
			return fmt.Errorf("bridge %s: %w", l.Master, err)
		}
		if err := netlink.LinkSetMaster(link, master); err != nil {
			return fmt.Errorf("join %s: %w", l.Master, err)
		}
	}
	if l.Hairpin {
		if err := netlink.LinkSetHairpin(link, true); err != nil {
			return fmt.Errorf("hairpin: %w", err)
		}
	}
	return netlink.LinkSetUp(link)
}

func (r Route) add() error {
	route := netlink.Route{Gw: net.ParseIP(r.Via)}
	if r.To != "" {
		_, to, err := net.ParseCIDR(r.To)
		if err != nil {
			return err
		}
		route.Dst = to
	}
	if r.Link != "" {
		link, err := netlink.LinkByName(r.Link)
		if err != nil {
			return err
		}
		route.LinkIndex = link.Attrs().Index
	}
	if r.OnLink {
		route.SetFlag(netlink.FLAG_ONLINK)
	}
	return netlink.RouteAdd(&route)
}

func (n Neighbour) add() error {
	link, err := netlink.LinkByName(n.Link)
	if err != nil {
		return err
	}
	mac, err := net.ParseMAC(n.MAC)
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	if err := netlink.NeighAdd(&netlink.Neigh{LinkIndex: index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(n.IP), HardwareAddr: mac}); err != nil || n.VTEP == "" {
		return err
	}
	// A bridge-family entry with an IP address tells the VXLAN device which VTEP the MAC address is behind.
	return netlink.NeighAppend(&netlink.Neigh{
		LinkIndex: index, Family: afBridge, State: netlink.NUD_PERMANENT, Flags: netlink.NTF_SELF,
		IP: net.ParseIP(n.VTEP), HardwareAddr: mac,
	})
}

// afBridge is AF_BRIDGE of linux/socket.h.
const afBridge = 7
