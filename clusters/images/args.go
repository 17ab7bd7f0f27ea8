package images

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// checkArgs says what is wrong with the arguments of the image relapse: server ADDRESS, http ADDRESS or pause.
func checkArgs(args []string) error {
	switch {
	case len(args) == 0 || len(args) == 1 && args[0] == "pause":
		return nil
	case args[0] != "server" && args[0] != "http":
		return fmt.Errorf("args: %q: must be server ADDRESS, http ADDRESS or pause", strings.Join(args, " "))
	case len(args) == 1:
		return fmt.Errorf("args: %s needs the address to listen on, such as :8080", args[0])
	}
	host, port, err := net.SplitHostPort(args[1])
	if number, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || number == 0 {
		return fmt.Errorf("args[1]: %q is not an address to listen on with a port from 1 to 65535, such as :8080", args[1])
	}
	if address, err := netip.ParseAddr(host); host != "" && (err != nil || !address.Is4()) {
		return fmt.Errorf("args[1]: %q is not an IPv4 address", host)
	}
	return nil
}
