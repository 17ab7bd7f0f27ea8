package fingerprint

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link is one network interface.
type Link struct {
	Type string `json:"type"`
	MTU  int    `json:"mtu"`
	// Up is the administrative state, not the carrier.
	Up     bool   `json:"up"`
	Master string `json:"master,omitempty"`
	// Address is the hardware address.
	Address string `json:"address,omitempty"`
	// Alias is a free text that may hold a run's id.
	Alias string `json:"alias,omitempty"`
	// XDP is set when a program is attached.
	XDP bool `json:"xdp,omitempty"`
	// Hairpin is set when a bridge may send a packet back through this port.
	Hairpin bool `json:"hairpin,omitempty"`
}

func (l Link) String() string {
	words := []string{l.Type, fmt.Sprintf("mtu %d", l.MTU), map[bool]string{true: "up", false: "down"}[l.Up]}
	if l.Master != "" {
		words = append(words, "master "+l.Master)
	}
	if l.Address != "" {
		words = append(words, "address "+l.Address)
	}
	if l.Alias != "" {
		words = append(words, fmt.Sprintf("alias %q", l.Alias))
	}
	if l.XDP {
		words = append(words, "xdp")
	}
	if l.Hairpin {
		words = append(words, "hairpin")
	}
	return strings.Join(words, " ")
}

// whole repeats a dump if the kernel says that a change interrupted it.
func whole[T any](what string, dump func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		result, err := dump()
		if errors.Is(err, netlink.ErrDumpInterrupted) && try < 10 {
			continue
		}
		if err != nil {
			err = fmt.Errorf("list %s: %w", what, err)
		}
		return result, err
	}
}

// takeLinks reads the links, and everything that refers to them by index.
func (fp *Fingerprint) takeLinks() error {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	defer h.Close()
	links, err := whole("links", h.LinkList)
	if err != nil {
		return err
	}
	names, bridges := map[int]string{}, map[int]bool{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
		bridges[link.Attrs().Index] = link.Type() == "bridge"
	}
	fp.Links = map[string]Link{}
	for _, link := range links {
		a := link.Attrs()
		l := Link{
			Type: link.Type(), MTU: a.MTU, Up: a.Flags&net.FlagUp != 0,
			Address: a.HardwareAddr.String(), Alias: a.Alias, XDP: a.Xdp != nil && a.Xdp.Attached,
		}
		if a.MasterIndex != 0 {
			l.Master = nameOf(names, a.MasterIndex)
		}
		if bridges[a.MasterIndex] {
			port, err := whole("ports of bridges", func() (netlink.Protinfo, error) { return h.LinkGetProtinfo(link) })
			if err != nil {
				return err
			}
			l.Hairpin = port.Hairpin
		}
		fp.Links[a.Name] = l
	}
	return errors.Join(fp.takeAddresses(h, names), fp.takeNeighbours(h, names), fp.takeRoutes(h, names), fp.takeRules(h), fp.takeQdiscs(h, names))
}

func nameOf(names map[int]string, index int) string {
	if name, ok := names[index]; ok {
		return name
	}
	return fmt.Sprintf("if%d", index)
}

// takeAddresses leaves out addresses that change by themselves: temporary IPv6 addresses, and link-local ones, which the kernel adds a
// moment after a link gets its carrier.
func (fp *Fingerprint) takeAddresses(h *netlink.Handle, names map[int]string) error {
	addrs, err := whole("addresses", func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return err
	}
	fp.Addresses = []string{}
	for _, a := range addrs {
		if a.Flags&unix.IFA_F_TEMPORARY != 0 && a.IP.To4() == nil || a.IP.To4() == nil && a.IP.IsLinkLocalUnicast() {
			continue
		}
		text := fmt.Sprintf("%s dev %s scope %s", a.IPNet, nameOf(names, a.LinkIndex), netlink.Scope(a.Scope))
		if a.Peer != nil && !a.Peer.IP.Equal(a.IP) {
			text += " peer " + a.Peer.String()
		}
		fp.Addresses = append(fp.Addresses, text)
	}
	slices.Sort(fp.Addresses)
	return nil
}

// takeNeighbours takes only permanent entries: others are learned from the network.
func (fp *Fingerprint) takeNeighbours(h *netlink.Handle, names map[int]string) error {
	fp.Neighbours = []string{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		neighbours, err := whole("neighbours", func() ([]netlink.Neigh, error) { return h.NeighList(0, family) })
		if err != nil {
			return err
		}
		for _, n := range neighbours {
			if n.State&netlink.NUD_PERMANENT != 0 {
				fp.Neighbours = append(fp.Neighbours, fmt.Sprintf("%s dev %s lladdr %s", n.IP, nameOf(names, n.LinkIndex), n.HardwareAddr))
			}
		}
	}
	slices.Sort(fp.Neighbours)
	return nil
}

func (fp *Fingerprint) takeQdiscs(h *netlink.Handle, names map[int]string) error {
	qdiscs, err := whole("queueing disciplines", func() ([]netlink.Qdisc, error) { return h.QdiscList(nil) })
	if errors.Is(err, unix.EOPNOTSUPP) {
		// A kernel without traffic control has no qdiscs.
		return nil
	}
	if err != nil {
		return err
	}
	fp.Qdiscs = []string{}
	for _, q := range qdiscs {
		a := q.Attrs()
		fp.Qdiscs = append(fp.Qdiscs, fmt.Sprintf("%s dev %s handle %s parent %s", q.Type(), nameOf(names, a.LinkIndex),
			netlink.HandleStr(a.Handle), netlink.HandleStr(a.Parent)))
	}
	slices.Sort(fp.Qdiscs)
	return nil
}
