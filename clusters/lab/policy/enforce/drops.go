package enforce

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/harness/nflog"
)

const (
	// quiet is how long further packets of a flow are left out: retransmissions say nothing new.
	quiet = 10 * time.Second
	// maxFlows bounds what is remembered of flows; when it is full all are forgotten, and none is lost.
	maxFlows = 4096
	// maxWaiting bounds the drops that nobody has asked for yet.
	maxWaiting = 4096
	// prefixOf begins the log prefixes of the rules; a number follows.
	prefixOf = "relapse-policy:"
)

// drops turns what the rules log into drops, and keeps them until somebody asks.
type drops struct {
	mu    sync.Mutex
	group *nflog.Group
	ended chan struct{}
	err   error
	// known are the pods that prefixes stand for. None is forgotten: a packet may be read when its rule has gone.
	known    map[string]Isolated
	prefixes map[string]string
	seen     map[seen]time.Time
	waiting  []Drop
	more     chan struct{}
}

// seen is a flow that a rule has dropped a packet of.
type seen struct {
	prefix string
	flow   flow
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

// listen begins to listen to the group, unless that is done already.
func (d *drops) listen(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	if d.group != nil {
		return nil
	}
	group, err := nflog.Open(ctx, Group, nflog.Options{})
	if err != nil {
		return err
	}
	d.group, d.ended, d.err = group, make(chan struct{}), nil
	go func(ended chan struct{}) {
		defer close(ended)
		for {
			packet, err := group.Receive()
			if errors.Is(err, nflog.ErrClosed) {
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

// note keeps a packet as a drop, or the error that ended listening.
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
	flow, err := parseFlow(packet.Payload)
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
		Peer: flow.source.String(), Protocol: flow.protocolName(), Port: flow.destinationPort,
	}
	if isolated.Direction == Egress {
		drop.Peer = flow.destination.String()
	}
	if len(d.waiting) < maxWaiting {
		d.waiting = append(d.waiting, drop)
	}
}

// follow hands out the drops until ctx ends, which is no error.
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
