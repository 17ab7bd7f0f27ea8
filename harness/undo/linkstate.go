package undo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkState puts the old MTU of a link back, and whether it was up. A link that is set down loses routes and IPv6 addresses;
// who does that writes records for those too.
type LinkState struct {
	Name string `json:"name"`
	// MTU before the change; 0 leaves it as it is.
	MTU int `json:"mtu,omitempty"`
	// Up is whether the link was up before the change; absent leaves it as it is.
	Up *bool `json:"up,omitempty"`
}

func (l *LinkState) String() string {
	var parts []string
	if l.MTU != 0 {
		parts = append(parts, fmt.Sprintf("mtu %d", l.MTU))
	}
	if l.Up != nil {
		parts = append(parts, map[bool]string{true: "up", false: "down"}[*l.Up])
	}
	return fmt.Sprintf("set link %s %s", l.Name, strings.Join(parts, " "))
}

func (l *LinkState) check() error {
	if l.Name == "" || l.MTU < 0 || (l.MTU == 0 && l.Up == nil) {
		return errors.New("needs a link's name, and an MTU or up")
	}
	return nil
}

func (l *LinkState) undo(context.Context) error {
	link, err := findLink(l.Name)
	if err != nil || link == nil {
		return err
	}
	var errs []error
	if l.MTU != 0 && link.Attrs().MTU != l.MTU {
		errs = append(errs, netlink.LinkSetMTU(link, l.MTU))
	}
	if up := link.Attrs().Flags&net.FlagUp != 0; l.Up != nil && *l.Up != up {
		set := netlink.LinkSetDown
		if *l.Up {
			set = netlink.LinkSetUp
		}
		errs = append(errs, set(link))
	}
	for i, err := range errs {
		if errors.Is(err, unix.ENODEV) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}
