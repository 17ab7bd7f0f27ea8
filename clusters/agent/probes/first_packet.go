package probes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// FirstPacket measures how much longer the first packet of a flow takes than its second, over UDP: what rules cost that only the first packet
// meets. The second is the control: it meets the same machine, path and program. Use it where times depend on the machine, and connect or
// datagram where only the outcome matters. An attempt's time is that of the fastest first packet of its flows. It opens more flows while the
// machine is busy, because the fastest packet of too few says more of other programs than of rules.
type FirstPacket struct {
	// To is host:port of an echo server. In place of a host there may be a node or pod, for its own address: node/node-1:30080, pod/web:8080.
	To string `json:"to" ref:"address"`
	// Addresses is how many IPv4 addresses there are, To's and those after it, of which each attempt takes the next one. Default: 1.
	Addresses int `json:"addresses,omitempty" jsonschema:"minimum=1,maximum=1000"`
	// Flows is how many flows an attempt opens at least, one after the other. The fastest first packet is compared with the fastest second one.
	// Default: 10.
	Flows int `json:"flows,omitempty" jsonschema:"minimum=1,maximum=100"`
	// AtMost is how many times as long the first packet may take. An attempt that takes longer fails.
	AtMost float64 `json:"atMost" jsonschema:"minimum=1"`

	// mu guards calm: the fastest second packet of all attempts, which is what this machine can do.
	mu   sync.Mutex
	calm time.Duration
}

const (
	defaultFlows = 10
	// An attempt makes at most mostRounds rounds of its flows, with a rest that is longer than other programs have their turn on a busy CPU.
	// The first packets of surelyRounds decide that they are slow, if the second ones were not: those took at most busyTimes as long as they can.
	mostRounds, surelyRounds, busyTimes = 40, 20, 2
	roundRest                           = 10 * time.Millisecond
)

// Validate checks the form of the address.
func (p *FirstPacket) Validate() error {
	if err := hostPort(p.To); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(p.To)
	if _, err := netip.ParseAddr(host); err != nil && p.Addresses > 1 {
		return fmt.Errorf("addresses: %q is not the first of several IPv4 addresses", host)
	}
	return nil
}

// to is the address of an attempt.
func (p *FirstPacket) to(number int) (string, error) {
	if p.Addresses < 2 {
		return p.To, nil
	}
	first, err := netip.ParseAddrPort(p.To)
	if err != nil {
		return "", err
	}
	address := first.Addr()
	for range number % p.Addresses {
		address = address.Next()
	}
	return net.JoinHostPort(address.String(), strconv.Itoa(int(first.Port()))), nil
}

// Attempt opens the flows.
func (p *FirstPacket) Attempt(ctx context.Context, number int) (Outcome, error) {
	to, err := p.to(number)
	if err != nil {
		return Outcome{}, err
	}
	flow, known := Datagram{To: to}, net.Conn(nil)
	defer func() {
		if known != nil {
			known.Close()
		}
	}()
	first, second := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
	for round := 1; ; round++ {
		for range cmp.Or(p.Flows, defaultFlows) {
			var times [2]time.Duration
			if times, known, err = twice(ctx, &flow, known); err != nil {
				return Outcome{}, err
			}
			first, second = min(first, times[0]), min(second, times[1])
		}
		if round == mostRounds || !p.busy(second) && (p.fast(first, second) || round >= surelyRounds) {
			break
		}
		if err := wait(ctx, roundRest); err != nil {
			return Outcome{}, err
		}
	}
	seen := fmt.Sprintf("%s: the first packet %s, the second %s", to, units.Seconds(first.Seconds()), units.Seconds(second.Seconds()))
	outcome := Outcome{Seen: seen, Took: first}
	if !p.fast(first, second) {
		return outcome, fmt.Errorf("the first packet took %.1f times as long as the second", float64(first)/float64(second))
	}
	return outcome, nil
}

func (p *FirstPacket) fast(first, second time.Duration) bool {
	return float64(first) <= p.AtMost*float64(second)
}

// busy is whether the machine has been faster than an attempt's fastest second packet.
func (p *FirstPacket) busy(second time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calm == 0 || second < p.calm {
		p.calm = second
	}
	return second > busyTimes*p.calm
}

// twice sends two datagrams over a new socket and returns how long each took to come back. One over the socket of the flow before goes in
// front of them, so that both find programs awake and caches warm. It closes that socket, and returns the new one.
func twice(ctx context.Context, p *Datagram, before net.Conn) (times [2]time.Duration, conn net.Conn, err error) {
	if conn, err = openUnknown(ctx, p.To); err != nil {
		return times, before, err
	}
	if before != nil {
		_, err = p.exchange(ctx, before)
		if err = errors.Join(err, before.Close()); err != nil {
			return times, conn, err
		}
	}
	for i := range times {
		start := time.Now()
		if _, err := p.exchange(ctx, conn); err != nil {
			return times, conn, err
		}
		times[i] = max(time.Since(start), 1)
	}
	return times, conn, nil
}

// unknownPorts counts the source ports of all probes of this kind: each is used once until there are no more. Of those that other probes'
// sockets have, some thousand, one would come again while conntrack has the entry of its last use, and the packet would be no first one.
var unknownPorts atomic.Uint32

const (
	firstUnknown = 2000
	manyUnknown  = 30000
)

// openUnknown opens a socket for a flow that conntrack does not know. It leaves out ports that are in use.
func openUnknown(ctx context.Context, to string) (conn net.Conn, err error) {
	for range manyUnknown {
		dialer := net.Dialer{LocalAddr: &net.UDPAddr{Port: int(firstUnknown + unknownPorts.Add(1)%manyUnknown)}}
		if conn, err = dialer.DialContext(ctx, "udp", to); !errors.Is(err, unix.EADDRINUSE) {
			break
		}
	}
	return conn, err
}

// Close has nothing to close.
func (p *FirstPacket) Close() error { return nil }
