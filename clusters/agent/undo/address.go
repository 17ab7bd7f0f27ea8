package undo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Address deletes an address that was added to a link.
type Address struct {
	Link string `json:"link"`
	// CIDR is the address with the length of its prefix: 10.0.0.1/24.
	CIDR string `json:"cidr"`
}

func (a *Address) String() string { return fmt.Sprintf("delete address %s from %s", a.CIDR, a.Link) }

func (a *Address) check() error {
	if a.Link == "" {
		return errors.New("needs a link's name")
	}
	_, err := netip.ParsePrefix(a.CIDR)
	return err
}

func (a *Address) undo(context.Context) error {
	link, err := findLink(a.Link)
	if err != nil || link == nil {
		return err
	}
	addr, err := netlink.ParseAddr(a.CIDR)
	if err != nil {
		return err
	}
	err = netlink.AddrDel(link, addr)
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// findLink returns nil if there is no such link: the kernel has then removed its addresses too.
func findLink(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	return link, nil
}
