package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/netconf"
	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Link changes one setting of a network link: use it for a wrong MTU, a link that is down, a wrong or second address, a bridge port that
// cannot send back. The link is chosen by what it is for, because its name differs between clusters.
type Link struct {
	// Which link of the place: uplink leads to the rest of the network (eth0 of a pod, the link of a node's default route), overlay is a node's
	// VXLAN or Geneve device. Default: uplink, unless portOf is given.
	Which string `json:"which,omitempty" jsonschema:"enum=uplink,enum=overlay"`
	// PortOf is a pod: the change acts on its node's link to it, a port of the bridge or the other end of the veth pair.
	PortOf string `json:"portOf,omitempty" ref:"pod"`

	// MTU is the largest packet that the link sends. Give exactly one of mtu, mac, state, hairpin, address and addressOf.
	MTU int `json:"mtu,omitempty" jsonschema:"minimum=1280,maximum=65535"`
	// MAC is the hardware address, such as 02:00:00:00:00:01.
	MAC string `json:"mac,omitempty"`
	// State down takes the link out of use. Routes that the kernel drops with it come back when the change is undone, but not with state: up.
	State string `json:"state,omitempty" jsonschema:"enum=up,enum=down"`
	// Hairpin is whether a bridge may send a packet back through the port that it came from. Needs portOf.
	Hairpin *bool `json:"hairpin,omitempty"`
	// Address is an additional IPv4 address with its prefix, such as 10.244.1.9/32.
	Address string `json:"address,omitempty"`
	// AddressOf is a pod whose address the link gets too, as if it had been given twice.
	AddressOf string `json:"addressOf,omitempty" ref:"pod"`
	// Announce tells the neighbours, by ARP announcements, that address or addressOf is here: they send there from then on.
	Announce bool `json:"announce,omitempty"`

	// link, setting and value are what Apply has found; an address has no setting.
	link, setting, value string
	announced            announcements
}

// Validate checks the settings.
func (c *Link) Validate() error {
	given := 0
	for _, set := range []bool{c.MTU != 0, c.MAC != "", c.State != "", c.Hairpin != nil, c.Address != "", c.AddressOf != ""} {
		if set {
			given++
		}
	}
	switch {
	case given != 1:
		return errors.New("give exactly one of mtu, mac, state, hairpin, address, addressOf")
	case c.Which != "" && c.PortOf != "":
		return errors.New("give which or portOf, not both")
	case c.Announce && c.Address == "" && c.AddressOf == "":
		return errors.New("announce needs address or addressOf")
	case c.Hairpin != nil && c.PortOf == "":
		return errors.New("hairpin needs portOf")
	case c.MAC != "":
		return macAddress("mac", c.MAC)
	case c.Address != "":
		return ipv4Address("address", c.Address)
	}
	return nil
}

// NeedsAddresses names the pods that Apply has to find.
func (c *Link) NeedsAddresses() []string {
	return slices.DeleteFunc([]string{c.PortOf, c.AddressOf}, func(pod string) bool { return pod == "" })
}

// Apply finds the link and changes it. A value that is set already is an error: the change would change nothing.
func (c *Link) Apply(_ context.Context, ns *Namespace) error {
	link, err := c.find(ns)
	if err != nil {
		return err
	}
	c.link = link.Attrs().Name
	switch {
	case c.AddressOf != "":
		return c.add(ns, ns.Addresses[c.AddressOf].String()+"/32")
	case c.Address != "":
		return c.add(ns, c.Address)
	case c.MTU != 0:
		c.setting, c.value = undo.LinkMTU, strconv.Itoa(c.MTU)
	case c.MAC != "":
		c.setting, c.value = undo.LinkMAC, strings.ToLower(c.MAC)
	case c.State != "":
		c.setting, c.value = undo.LinkState, c.State
	default:
		c.setting, c.value = undo.LinkHairpin, map[bool]string{true: "on", false: "off"}[*c.Hairpin]
	}
	now, err := undo.ReadLink(c.link, c.setting)
	if err != nil {
		return err
	}
	if now == c.value {
		return fmt.Errorf("%s of %s is %s already, so setting it would change nothing", c.setting, c.link, c.value)
	}
	if err := survivesDown(link, c.State); err != nil {
		return err
	}
	return ns.Scope.SetLink(c.link, c.setting, c.value)
}

// add gives the link an address.
func (c *Link) add(ns *Namespace, cidr string) error {
	c.value = cidr
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return err
	}
	if err := addAddress(ns.Scope, c.link, cidr); err != nil || !c.Announce {
		return err
	}
	return c.announced.start(ns.Scope, c.link, prefix.Addr())
}

func (c *Link) find(ns *Namespace) (netlink.Link, error) {
	switch {
	case c.PortOf != "":
		return port(ns, c.PortOf)
	case c.Which == "overlay":
		return netconf.Overlay()
	}
	return netconf.Uplink()
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

// survivesDown refuses what could not be undone: the kernel deletes IPv6 addresses with a link that goes down.
func survivesDown(link netlink.Link, state string) error {
	if state != "down" {
		return nil
	}
	addresses, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	for _, a := range addresses {
		if !a.IP.IsLinkLocalUnicast() {
			return fmt.Errorf("%s has the address %s, which the kernel would delete", link.Attrs().Name, a.IPNet)
		}
	}
	return nil
}

// Keys are its numbers.
func (*Link) Keys() units.Keys {
	return units.Keys{
		"set":       {Means: "1 while the link has the setting or the address, otherwise 0", Kind: units.Share},
		"announced": {Means: "announcements of the address that were sent"},
	}
}

// Readings reads the link.
func (c *Link) Readings(context.Context) (map[string]float64, error) {
	readings := map[string]float64{"set": 0, "announced": float64(c.announced.sent.Load())}
	has := false
	if c.setting != "" {
		now, err := undo.ReadLink(c.link, c.setting)
		if err != nil {
			return nil, err
		}
		has = now == c.value
	} else {
		link, err := netlink.LinkByName(c.link)
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", c.link, err)
		}
		addresses, err := netlink.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", c.link, err)
		}
		has = slices.ContainsFunc(addresses, func(a netlink.Addr) bool { return a.IPNet.String() == c.value })
	}
	if has {
		readings["set"] = 1
	}
	return readings, nil
}
