package undo

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Link deletes a link of relapse's own.
type Link struct {
	Name string `json:"name"`
}

func (l *Link) String() string { return "delete link " + l.Name }

func (l *Link) check() error { return checkPrefix(l.Name) }

func (l *Link) undo(context.Context) error {
	link, err := findLink(l.Name)
	if err != nil || link == nil {
		return err
	}
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return err
	}
	return nil
}

// findLink returns nil when there is no such link: the kernel has then removed what belonged to it as well.
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
