package undo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/vishvananda/netlink"
)

// Link puts the old value of one setting of a link back.
type Link struct {
	Link string `json:"link"`
	// Setting is one of LinkSettings, and Value what it was.
	Setting string `json:"setting"`
	Value   string `json:"value"`
}

// Settings of a link that can be changed.
const (
	LinkMTU     = "mtu"
	LinkMAC     = "mac"
	LinkState   = "state"   // up or down
	LinkHairpin = "hairpin" // on or off; of a port of a bridge
)

func onOff(on bool, names [2]string) string {
	if on {
		return names[0]
	}
	return names[1]
}

var (
	upDown  = [2]string{"up", "down"}
	onOrOff = [2]string{"on", "off"}
)

// linkSettings read and write them, as texts.
var linkSettings = map[string]struct {
	get func(netlink.Link) (string, error)
	set func(netlink.Link, string) error
}{
	LinkMTU: {
		func(l netlink.Link) (string, error) { return strconv.Itoa(l.Attrs().MTU), nil },
		func(l netlink.Link, value string) error {
			mtu, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(l, mtu)
		},
	},
	LinkMAC: {
		func(l netlink.Link) (string, error) { return l.Attrs().HardwareAddr.String(), nil },
		func(l netlink.Link, value string) error {
			mac, err := net.ParseMAC(value)
			if err != nil {
				return err
			}
			return netlink.LinkSetHardwareAddr(l, mac)
		},
	},
	LinkState: {
		func(l netlink.Link) (string, error) { return onOff(l.Attrs().Flags&net.FlagUp != 0, upDown), nil },
		func(l netlink.Link, value string) error {
			if value == upDown[0] {
				return netlink.LinkSetUp(l)
			}
			return netlink.LinkSetDown(l)
		},
	},
	LinkHairpin: {
		func(l netlink.Link) (string, error) {
			if l.Attrs().MasterIndex == 0 {
				return "", errors.New("is not a port of a bridge")
			}
			port, err := netlink.LinkGetProtinfo(l)
			return onOff(port.Hairpin, onOrOff), err
		},
		func(l netlink.Link, value string) error { return netlink.LinkSetHairpin(l, value == onOrOff[0]) },
	},
}

// ReadLink returns the value of a link's setting.
func ReadLink(name, setting string) (string, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return "", fmt.Errorf("link %s: %w", name, err)
	}
	value, err := linkSettings[setting].get(link)
	if err != nil {
		return "", fmt.Errorf("link %s: %s: %w", name, setting, err)
	}
	return value, nil
}

// SetLink changes a setting of a link. It first writes down the old value, and the routes and permanent neighbours that the kernel drops
// with the change.
func (s *Scope) SetLink(name, setting, value string) error {
	s.stack.changing.Lock()
	defer s.stack.changing.Unlock()
	old, err := ReadLink(name, setting)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	var records []Record
	if setting == LinkState {
		if records, err = routesOf(link); err != nil {
			return err
		}
	}
	if setting == LinkState || setting == LinkMAC {
		neighbours, err := neighboursOf(link)
		if err != nil {
			return err
		}
		records = append(records, neighbours...)
	}
	if err := s.Push(append(records, Record{Link: &Link{Link: name, Setting: setting, Value: old}})...); err != nil {
		return err
	}
	if err := linkSettings[setting].set(link, value); err != nil {
		return fmt.Errorf("link %s: set %s to %s: %w", name, setting, value, err)
	}
	return nil
}

func (l *Link) String() string {
	return fmt.Sprintf("set %s of link %s to %s", l.Setting, l.Link, l.Value)
}

func (l *Link) check() error {
	if _, ok := linkSettings[l.Setting]; !ok {
		return fmt.Errorf("unknown setting %q", l.Setting)
	}
	if l.Link == "" || l.Value == "" {
		return errors.New("needs a link's name and a value")
	}
	return nil
}

func (l *Link) undo(context.Context) error {
	link, err := findLink(l.Link)
	if err != nil || link == nil {
		return err
	}
	setting := linkSettings[l.Setting]
	if now, err := setting.get(link); err != nil || now == l.Value {
		return err
	}
	return setting.set(link, l.Value)
}
