package undo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Neighbour puts a link's permanent entry for an address back. If there was none, it deletes what is there now: the kernel asks again.
type Neighbour struct {
	Link    string `json:"link"`
	Address string `json:"address"`
	// MAC of the permanent entry; empty if there was none.
	MAC string `json:"mac,omitempty"`
}

// neighboursOf are the records of a link's permanent entries.
func neighboursOf(link netlink.Link) ([]Record, error) {
	list, err := whole(func() ([]netlink.Neigh, error) { return netlink.NeighList(link.Attrs().Index, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("neighbours of %s: %w", link.Attrs().Name, err)
	}
	var records []Record
	for _, n := range list {
		if n.State&netlink.NUD_PERMANENT != 0 && (n.Family == netlink.FAMILY_V4 || n.Family == netlink.FAMILY_V6) {
			records = append(records, Record{Neighbour: &Neighbour{Link: link.Attrs().Name, Address: n.IP.String(), MAC: n.HardwareAddr.String()}})
		}
	}
	return records, nil
}

// whole repeats a dump that a change has interrupted.
func whole[T any](dump func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		result, err := dump()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == 10 {
			return result, err
		}
	}
}

// SetNeighbour makes a permanent entry for an address, or deletes the one that is there if mac is nil.
func (s *Scope) SetNeighbour(name, address string, mac net.HardwareAddr) error {
	s.stack.changing.Lock()
	defer s.stack.changing.Unlock()
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	record := &Neighbour{Link: name, Address: address}
	permanent, err := neighboursOf(link)
	if err != nil {
		return err
	}
	for _, r := range permanent {
		if r.Neighbour.Address == address {
			record = r.Neighbour
		}
	}
	if err := s.Push(Record{Neighbour: record}); err != nil {
		return err
	}
	return setNeighbour(link, address, mac)
}

func setNeighbour(link netlink.Link, address string, mac net.HardwareAddr) error {
	entry := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: net.ParseIP(address), State: netlink.NUD_PERMANENT, HardwareAddr: mac}
	if mac != nil {
		return netlink.NeighSet(entry)
	}
	if err := netlink.NeighDel(entry); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

func (n *Neighbour) String() string {
	if n.MAC == "" {
		return fmt.Sprintf("delete neighbour %s on %s", n.Address, n.Link)
	}
	return fmt.Sprintf("set neighbour %s on %s to %s", n.Address, n.Link, n.MAC)
}

func (n *Neighbour) check() error {
	if n.Link == "" {
		return errors.New("needs a link's name")
	}
	if n.MAC != "" {
		if _, err := net.ParseMAC(n.MAC); err != nil {
			return err
		}
	}
	_, err := netip.ParseAddr(n.Address)
	return err
}

func (n *Neighbour) undo(context.Context) error {
	link, err := findLink(n.Link)
	if err != nil || link == nil {
		return err
	}
	var mac net.HardwareAddr
	if n.MAC != "" {
		if mac, err = net.ParseMAC(n.MAC); err != nil {
			return err
		}
	}
	return setNeighbour(link, n.Address, mac)
}
