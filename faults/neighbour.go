package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// Neighbour changes what hardware address a place has for an IPv4 address: use it for an entry that is wrong or was forgotten, and to have
// the kernel ask again. If the address is not on a link of the place, the entry of the next hop to it is changed.
type Neighbour struct {
	// Address is the neighbour's. Give address or pod.
	Address string `json:"address,omitempty"`
	// Pod is a pod whose address it is.
	Pod string `json:"pod,omitempty" ref:"pod"`
	// MAC makes a permanent entry with this hardware address, such as 02:00:00:00:00:01. Give mac or forget.
	MAC string `json:"mac,omitempty"`
	// Forget deletes the entry once. The kernel asks for the address when it needs it again.
	Forget bool `json:"forget,omitempty"`

	// link and address are what Apply has found.
	link    netlink.Link
	address netip.Addr
	// forgotten is 1 if there was an entry to forget.
	forgotten float64
}

// Validate checks the settings.
func (c *Neighbour) Validate() error {
	switch {
	case (c.Address == "") == (c.Pod == ""):
		return errors.New("give address or pod")
	case (c.MAC == "") == !c.Forget:
		return errors.New("give mac or forget")
	}
	if c.MAC != "" {
		if err := macAddress("mac", c.MAC); err != nil {
			return err
		}
	}
	if c.Address != "" {
		return ipv4("address", c.Address)
	}
	return nil
}

// NeedsAddresses names the pod.
func (c *Neighbour) NeedsAddresses() []string {
	if c.Pod == "" {
		return nil
	}
	return []string{c.Pod}
}

// Apply changes the entry.
func (c *Neighbour) Apply(_ context.Context, ns *Namespace) (err error) {
	c.address = ns.Addresses[c.Pod]
	if c.Address != "" {
		if c.address, err = netip.ParseAddr(c.Address); err != nil {
			return err
		}
	}
	route, err := undo.RouteTowards(c.address)
	if err != nil {
		return err
	}
	if route == nil || route.Link == 0 {
		return fmt.Errorf("no route leads to %s", c.address)
	}
	if route.Gateway.IsValid() {
		c.address = route.Gateway
	}
	if c.link, err = netlink.LinkByIndex(route.Link); err != nil {
		return fmt.Errorf("link to %s: %w", c.address, err)
	}
	var mac net.HardwareAddr
	if c.Forget {
		entry, err := c.entry()
		if err != nil {
			return err
		}
		if entry != nil {
			c.forgotten = 1
		}
	} else if mac, err = net.ParseMAC(c.MAC); err != nil {
		return err
	}
	return ns.Scope.SetNeighbour(c.link.Attrs().Name, c.address.String(), mac)
}

// entry is the one that there is for the address now, or nil.
func (c *Neighbour) entry() (*netlink.Neigh, error) {
	list, err := netlink.NeighList(c.link.Attrs().Index, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("neighbours of %s: %w", c.link.Attrs().Name, err)
	}
	i := slices.IndexFunc(list, func(n netlink.Neigh) bool {
		address, _ := netip.AddrFromSlice(n.IP.To4())
		return address == c.address
	})
	if i < 0 {
		return nil, nil
	}
	return &list[i], nil
}

// Keys are its numbers.
func (*Neighbour) Keys() units.Keys {
	return units.Keys{
		"set":       {Means: "1 while the entry has the hardware address of the change, otherwise 0", Kind: units.Share},
		"permanent": {Means: "1 while the entry is a permanent one, otherwise 0", Kind: units.Share},
		"forgotten": {Means: "1 if there was an entry, which was deleted, otherwise 0", Kind: units.Share},
	}
}

// Readings reads the entry.
func (c *Neighbour) Readings(context.Context) (map[string]float64, error) {
	readings := map[string]float64{"set": 0, "permanent": 0, "forgotten": c.forgotten}
	entry, err := c.entry()
	if err != nil || entry == nil {
		return readings, err
	}
	if entry.State&netlink.NUD_PERMANENT != 0 {
		readings["permanent"] = 1
	}
	if mac, err := net.ParseMAC(c.MAC); err == nil && entry.HardwareAddr.String() == mac.String() {
		readings["set"] = 1
	}
	return readings, nil
}
