package readers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
)

// entryStates are the states of TCP entries, as conntrack -L names them but for the case. Source: linux
// include/uapi/linux/netfilter/nf_conntrack_tcp.h (enum tcp_conntrack).
var entryStates = map[string]uint8{
	"syn-sent": ctnetlink.TCPSynSent, "syn-recv": 2, "established": ctnetlink.TCPEstablished, "fin-wait": 4, "close-wait": 5, "last-ack": 6,
	"time-wait": 7, "close": 8,
}

// entryMarks are what else conntrack -L says of an entry.
var entryMarks = map[string]func(ctnetlink.Entry) bool{
	"all":       func(ctnetlink.Entry) bool { return true },
	"unreplied": func(e ctnetlink.Entry) bool { return e.Status&ctnetlink.SeenReply == 0 },
	"assured":   func(e ctnetlink.Entry) bool { return e.Status&ctnetlink.Assured != 0 },
	"dnat":      func(e ctnetlink.Entry) bool { return e.Reply.Src != e.Orig.Dst },
	"snat":      func(e ctnetlink.Entry) bool { return e.Reply.Dst != e.Orig.Src },
}

// entriesKey checks the name of a number.
func entriesKey(text string) (units.Key, error) {
	_, state := entryStates[text]
	_, mark := entryMarks[text]
	if !state && !mark {
		names := append(slices.Sorted(maps.Keys(entryMarks)), slices.Sorted(maps.Keys(entryStates))...)
		return units.Key{}, fmt.Errorf("%q is not a number of entries: must be one of %s", text, strings.Join(names, ", "))
	}
	return units.Key{Means: "entries of this kind", Kind: units.Gauge}, nil
}

// entriesArgument reads tcp:80, the protocol and the destination port of the original direction.
func entriesArgument(text string) (ctnetlink.Filter, error) {
	protocol, port, _ := strings.Cut(text, ":")
	number, known := map[string]uint8{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}[protocol]
	dst, err := strconv.ParseUint(port, 10, 16)
	if !known || err != nil || dst == 0 || port != strconv.FormatUint(dst, 10) {
		return ctnetlink.Filter{}, fmt.Errorf("conntrack-entries/%s: write the protocol and the destination port of the flows, as in conntrack-entries/tcp:80", text)
	}
	return ctnetlink.Filter{Proto: number, DstPort: uint16(dst)}, nil
}

// conntrackEntries counts entries of the namespace's conntrack table. The kernel sends only those of the protocol and port.
func conntrackEntries(ctx context.Context, argument string, keys []string) (map[string]float64, error) {
	filter, err := entriesArgument(argument)
	if err != nil {
		return nil, err
	}
	table, err := ctnetlink.Open()
	if err != nil {
		return nil, err
	}
	defer table.Close()
	entries, err := table.List(ctx, filter)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, key := range keys {
		values[key] = 0
	}
	for _, e := range entries {
		for _, key := range keys {
			mark := entryMarks[key]
			state, ofTCP := entryStates[key]
			if mark != nil && mark(e) || ofTCP && filter.Proto == unix.IPPROTO_TCP && e.TCPState == state {
				values[key]++
			}
		}
	}
	return values, nil
}
