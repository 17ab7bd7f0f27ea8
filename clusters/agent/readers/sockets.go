package readers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// socketStates are the states of TCP sockets by their names in ss. Source: linux include/net/tcp_states.h, and ss(8), STATE-FILTER.
var socketStates = map[string]uint8{
	"established": netlink.TCP_ESTABLISHED, "syn-sent": netlink.TCP_SYN_SENT, "syn-recv": netlink.TCP_SYN_RECV,
	"fin-wait-1": netlink.TCP_FIN_WAIT1, "fin-wait-2": netlink.TCP_FIN_WAIT2, "time-wait": netlink.TCP_TIME_WAIT,
	"close-wait": netlink.TCP_CLOSE_WAIT, "last-ack": netlink.TCP_LAST_ACK, "listening": netlink.TCP_LISTEN, "closing": netlink.TCP_CLOSING,
}

// The queue of a listening socket, which ss shows as its Recv-Q and Send-Q.
const (
	acceptQueue   = "accept-queue"
	acceptBacklog = "accept-backlog"
)

// rangeUsed is the share of the source ports that the kernel can choose from which sockets to the port have.
const rangeUsed = "range-used"

// socketsKey checks the name of a number.
func socketsKey(text string) (units.Key, error) {
	switch _, state := socketStates[text]; {
	case state:
		return units.Key{Means: "sockets in this state", Kind: units.Gauge}, nil
	case text == acceptQueue:
		return units.Key{Means: "connections that wait for the program to accept them (Recv-Q)", Kind: units.Gauge}, nil
	case text == acceptBacklog:
		return units.Key{Means: "how many may wait (Send-Q)", Kind: units.Gauge}, nil
	case text == rangeUsed:
		return units.Key{Means: "share of the source ports in net.ipv4.ip_local_port_range that sockets to this port have, in whichever state", Kind: units.Share}, nil
	}
	names := append(slices.Sorted(maps.Keys(socketStates)), acceptQueue, acceptBacklog, rangeUsed)
	return units.Key{}, fmt.Errorf("%q is not a number of sockets: must be one of %s", text, strings.Join(names, ", "))
}

// sockets counts TCP sockets that have a port at one end or the other.
func sockets(ctx context.Context, port string, keys []string) (map[string]float64, error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	first, last, err := ephemeralPorts()
	if err != nil {
		return nil, err
	}
	values, used := map[string]float64{}, map[uint16]bool{}
	for _, key := range keys {
		values[key] = 0
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		all, err := tcpSockets(ctx, family)
		if err != nil {
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
		for _, s := range all {
			if s.ID.SourcePort != uint16(number) && s.ID.DestinationPort != uint16(number) {
				continue
			}
			if port := s.ID.SourcePort; s.ID.DestinationPort == uint16(number) && first <= port && port <= last {
				used[port] = true
			}
			for _, key := range keys {
				switch {
				case key == acceptQueue && s.State == netlink.TCP_LISTEN:
					values[key] += float64(s.RQueue)
				case key == acceptBacklog && s.State == netlink.TCP_LISTEN:
					values[key] += float64(s.WQueue)
				case socketStates[key] == s.State:
					values[key]++
				}
			}
		}
	}
	if _, asked := values[rangeUsed]; asked {
		values[rangeUsed] = float64(len(used)) / (float64(last-first) + 1)
	}
	return values, nil
}

// ephemeralPorts are the first and the last source port that the kernel chooses.
func ephemeralPorts() (first, last uint16, err error) {
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		return 0, 0, fmt.Errorf("%s: %q: %w", file, text, err)
	}
	return first, last, nil
}

// tcpSockets lists all TCP sockets of a family, again if sockets came and went meanwhile.
func tcpSockets(ctx context.Context, family uint8) ([]*netlink.Socket, error) {
	for {
		all, err := netlink.SocketDiagTCP(family)
		if !errors.Is(err, netlink.ErrDumpInterrupted) || ctx.Err() != nil {
			return all, err
		}
	}
}
