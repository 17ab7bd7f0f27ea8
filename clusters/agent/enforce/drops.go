package enforce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
	"github.com/relapse-k8s/relapse/clusters/netfilter/nflog"
)

const (
	// quiet is how long further packets of a flow are ignored: retransmissions say nothing new.
	quiet = 10 * time.Second
	// maxFlows limits the remembered flows. When it is reached, all are forgotten; no drop is lost by that.
	maxFlows = 4096
	// maxWaiting limits the drops that nobody has read yet.
	maxWaiting = 4096
	// prefixOf is the start of the rules' log prefixes; a number follows.
	prefixOf = "relapse-policy:"
)

// drops turns logged packets into drops, and keeps them until somebody reads them.
type drops struct {
	mu    sync.Mutex
	group *nflog.Group
	ended chan struct{}
	err   error
	// known are the pods that prefixes stand for. None is forgotten: a packet may be read after its rule was deleted.
	known    map[string]Isolated
	prefixes map[string]string
	seen     map[seen]time.Time
	waiting  []Drop
	more     chan struct{}
}

// seen is a flow of which a rule has dropped a packet.
type seen struct {
	prefix string
	flow   hold.Flow
}

func (d *drops) init() {
	if d.known == nil {
		d.known, d.prefixes, d.seen = map[string]Isolated{}, map[string]string{}, map[seen]time.Time{}
	}
	if d.more == nil {
		d.more = make(chan struct{}, 1)
	}
}

// prefix is the log prefix of a pod's rule. It stands for the pod, the direction and the policies.
func (d *drops) prefix(i Isolated) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	key := i.key()
	if d.prefixes[key] == "" {
		d.prefixes[key] = fmt.Sprint(prefixOf, len(d.prefixes)+1)
	}
	d.known[d.prefixes[key]] = i
	return d.prefixes[key]
}

// listen starts to listen to the group, unless it is listening already.
func (d *drops) listen(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	if d.group != nil {
		return nil
	}
	group, err := nflog.Open(ctx, Group)
	if err != nil {
		return err
	}
	d.group, d.ended, d.err = group, make(chan struct{}), nil
	go func(ended chan struct{}) {
		defer close(ended)
		for {
			packet, err := group.Receive()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			d.note(packet, err)
			if err != nil {
				return
			}
		}
	}(d.ended)
	return nil
}

// stop ends listening.
func (d *drops) stop() error {
	d.mu.Lock()
	group, ended := d.group, d.ended
	d.group = nil
	d.mu.Unlock()
	if group == nil {
		return nil
	}
	err := group.Close()
	<-ended
	return err
}

// note stores a packet as a drop, or the error that ended listening.
func (d *drops) note(packet nflog.Packet, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() {
		select {
		case d.more <- struct{}{}:
		default:
		}
	}()
	if err != nil {
		d.err = err
		return
	}
	isolated, ok := d.known[packet.Prefix]
	flow, err := hold.ParseFlow(packet.Payload)
	if !ok || err != nil {
		return // not a packet that the rules log
	}
	now, this := time.Now(), seen{packet.Prefix, flow}
	if last, ok := d.seen[this]; ok && now.Sub(last) < quiet {
		return
	}
	if len(d.seen) >= maxFlows {
		clear(d.seen)
	}
	d.seen[this] = now
	drop := Drop{
		Namespace: isolated.Namespace, Pod: isolated.Pod, Direction: isolated.Direction, Policies: isolated.Policies,
		Peer: flow.Src.Addr().String(), Protocol: protocolName(flow.Proto), Port: flow.Dst.Port(),
	}
	if isolated.Direction == Egress {
		drop.Peer = flow.Dst.Addr().String()
	}
	if len(d.waiting) < maxWaiting {
		d.waiting = append(d.waiting, drop)
	}
}

// follow sends the drops until ctx ends, which is not an error.
func (d *drops) follow(ctx context.Context, emit func(Drop)) error {
	d.mu.Lock()
	d.init()
	more := d.more
	d.mu.Unlock()
	for {
		d.mu.Lock()
		waiting, err := d.waiting, d.err
		d.waiting = nil
		d.mu.Unlock()
		for _, drop := range waiting {
			emit(drop)
		}
		if err != nil {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

func protocolName(number uint8) string {
	if name, ok := map[uint8]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp"}[number]; ok {
		return name
	}
	return strconv.Itoa(int(number))
}
