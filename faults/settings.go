package faults

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// What settings have in common is checked here, before a run: at a place a wrong one would fail in the middle of it.

// ipv4 checks an address.
func ipv4(field, text string) error {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("%s: %q is not an IP address", field, text)
	}
	if !address.Is4() {
		return fmt.Errorf("%s: %s is not an IPv4 address", field, text)
	}
	return nil
}

// ipv4Network checks a CIDR.
func ipv4Network(field, text string) error {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("%s: %q is not a CIDR, such as 10.244.0.0/16", field, text)
	}
	if !prefix.Addr().Is4() {
		return fmt.Errorf("%s: %s is not an IPv4 network", field, text)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%s: %s has bits behind its mask: write %s", field, text, prefix.Masked())
	}
	return nil
}

// ipv4Address checks an address of a link, with its prefix.
func ipv4Address(field, text string) error {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || !prefix.Addr().Is4() || !prefix.Addr().IsGlobalUnicast() {
		return fmt.Errorf("%s: %q is not an IPv4 address with a prefix, such as 10.244.1.9/32", field, text)
	}
	return nil
}

// macAddress checks a hardware address.
func macAddress(field, text string) error {
	if mac, err := net.ParseMAC(text); err != nil || len(mac) != 6 || mac[0]&1 != 0 {
		return fmt.Errorf("%s: %q is not the address of one device, such as 02:00:00:00:00:01", field, text)
	}
	return nil
}

// hostPort checks the address of a server: a name or an IPv4 address, and a port.
func hostPort(field, text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" {
		return fmt.Errorf("%s: %q is not host:port, such as web:80", field, text)
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return fmt.Errorf("%s: port %q must be from 1 to 65535", field, port)
	}
	if strings.ContainsFunc(host, notInNames) {
		return fmt.Errorf("%s: %q is neither a name nor an IPv4 address", field, host)
	}
	return nil
}

// notInNames is true for what is in no name of a host, and in no IPv4 address.
func notInNames(r rune) bool {
	return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '.' && r != '_'
}

// longestHold is how long a packet can be held at most: longer, and nobody would wait for the run.
const longestHold = 10 * time.Second

// atMost checks how long something may take.
func atMost(field string, d units.Duration, limit time.Duration) error {
	if d.Std() > limit {
		return fmt.Errorf("%s: must be at most %s", field, units.Duration(limit))
	}
	return nil
}

// sysctlKey checks the form of a key.
func sysctlKey(key string) error {
	file := undo.SysctlPath(key)
	if path.Clean(file) != file || strings.ContainsFunc(key, func(r rune) bool { return r != '/' && r != '@' && r != ':' && notInNames(r) }) {
		return fmt.Errorf("key: %q is not the name of a setting, such as net.ipv4.ip_forward", key)
	}
	return nil
}

// oneLine checks a text that must be one line, and there.
func oneLine(field, text string) error {
	if strings.TrimSpace(text) == "" {
		return fmt.Errorf("%s: must not be empty", field)
	}
	if len(text) > maxText || strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return fmt.Errorf("%s: must be one line of at most %d characters", field, maxText)
	}
	return nil
}

const maxText = 200
