package probes

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// FirstPacket measures how much longer the first packet of a flow takes than its second, over UDP: what rules cost that only the first packet
// meets. The second is the control: it meets the same machine, path and program. Use it where times depend on the machine, and connect or
// datagram where only the outcome matters. An attempt's time is that of the fastest first packet of its flows.
type FirstPacket struct {
	// To is host:port of an echo server. In place of a host there may be a node or pod, for its own address: node/node-1:30080, pod/web:8080.
	To string `json:"to" ref:"address"`
	// Addresses is how many IPv4 addresses there are, To's and those after it, of which each attempt takes the next one. Default: 1.
	Addresses int `json:"addresses,omitempty" jsonschema:"minimum=1,maximum=1000"`
	// Flows is how many flows an attempt opens, one after the other. The fastest first packet is compared with the fastest second one, because
	// others also say how busy the machine is. Default: 10.
	Flows int `json:"flows,omitempty" jsonschema:"minimum=1,maximum=100"`
	// AtMost is how many times as long the first packet may take. An attempt that takes longer fails.
	AtMost float64 `json:"atMost" jsonschema:"minimum=1"`
}

// defaultFlows is the default of flows.
const defaultFlows = 10

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
	flow := Datagram{To: to}
	var first, second time.Duration
	for range cmp.Or(p.Flows, defaultFlows) {
		times, err := twice(ctx, &flow)
		if err != nil {
			return Outcome{}, err
		}
		if first == 0 || times[0] < first {
			first = times[0]
		}
		if second == 0 || times[1] < second {
			second = times[1]
		}
	}
	ratio := float64(first) / float64(second)
	seen := fmt.Sprintf("%s: the first packet %s, the second %s", to, units.Seconds(first.Seconds()), units.Seconds(second.Seconds()))
	outcome := Outcome{Seen: seen, Took: first}
	if ratio > p.AtMost {
		return outcome, fmt.Errorf("the first packet took %.1f times as long as the second", ratio)
	}
	return outcome, nil
}

// twice sends two datagrams over a new socket and returns how long each took to come back.
func twice(ctx context.Context, p *Datagram) (times [2]time.Duration, err error) {
	conn, err := p.open(ctx)
	if err != nil {
		return times, err
	}
	defer conn.Close()
	for i := range times {
		start := time.Now()
		if _, err := p.exchange(ctx, conn); err != nil {
			return times, err
		}
		times[i] = max(time.Since(start), 1)
	}
	return times, nil
}

// Close has nothing to close.
func (p *FirstPacket) Close() error { return nil }
