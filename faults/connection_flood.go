package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// ConnectionFlood opens TCP connections without a pause, as a client without a connection pool does: each is opened, gets an
// answer, is closed, and stays in the conntrack table for a while.
type ConnectionFlood struct {
	// To is host:port of an echo server. A name is looked up once, at the start.
	To string `json:"to"`
	// Burst is how many connections are made at once at the start.
	Burst int `json:"burst,omitempty" jsonschema:"minimum=0,maximum=100000"`
	// Rate is how many connections are started each second after that.
	Rate int `json:"rate" jsonschema:"minimum=1,maximum=5000"`
	// KeepOpen leaves the connections open, as a client that leaks them does. The kernel's garbage collector removes closed connections from
	// a table that is more than 95% full, but not open ones.
	// Source: linux net/netfilter/nf_conntrack_core.c (gc_worker), nf_conntrack_proto_tcp.c (nf_conntrack_tcp_can_early_drop).
	KeepOpen bool `json:"keepOpen,omitempty"`

	address                  string
	attempts, opened, failed atomic.Uint64

	mu   sync.Mutex
	kept []net.Conn
}

const (
	// floodParallel limits the connections that are opened at the same time.
	floodParallel = 256
	// dialTimeout limits the opening of a connection, answerTimeout the rest. An open connection is not aborted early, because its entry
	// would then expire after ten seconds instead of two minutes.
	dialTimeout   = 500 * time.Millisecond
	answerTimeout = 3 * time.Second
)

// Validate checks the form of the address.
func (c *ConnectionFlood) Validate() error { return hostPort("to", c.To) }

// Apply makes the burst, and starts the rest.
func (c *ConnectionFlood) Apply(ctx context.Context, ns *Namespace) error {
	host, port, err := net.SplitHostPort(c.To)
	if err != nil {
		return err
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return err
	}
	c.address = net.JoinHostPort(addresses[0], port)
	flood, cancel := context.WithCancel(context.Background())
	slots := make(chan struct{}, floodParallel)
	var all sync.WaitGroup
	if err := ns.Scope.PushFunc("end the flood", func(context.Context) error {
		cancel()
		all.Wait()
		for _, conn := range c.kept {
			conn.Close()
		}
		return nil
	}); err != nil {
		cancel()
		return err
	}
	one := func(ctx context.Context) {
		select {
		case slots <- struct{}{}:
			all.Go(func() { c.one(ctx); <-slots })
		case <-ctx.Done():
		}
	}
	for range c.Burst {
		one(flood)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	all.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(c.Rate))
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				one(flood)
			case <-flood.Done():
				return
			}
		}
	})
	return nil
}

func (c *ConnectionFlood) one(ctx context.Context) {
	c.attempts.Add(1)
	conn, err := exchange(ctx, c.address)
	if err != nil {
		c.failed.Add(1)
		return
	}
	c.opened.Add(1)
	if !c.KeepOpen {
		conn.Close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, conn)
}

// exchange opens a connection, sends a line and waits for its echo.
func exchange(ctx context.Context, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	deadline := time.Now().Add(answerTimeout)
	line := []byte("relapse\n")
	answer := make([]byte, len(line))
	_, err1 := conn.Write(line)
	err2 := conn.SetReadDeadline(deadline)
	if _, err := io.ReadFull(conn, answer); err != nil || err1 != nil || err2 != nil {
		conn.Close()
		return nil, fmt.Errorf("%s: %w", address, errors.Join(err1, err2, err))
	}
	return conn, nil
}

// Keys are its numbers.
func (*ConnectionFlood) Keys() units.Keys {
	return units.Keys{
		"attempts": {Means: "connections that were started"},
		"opened":   {Means: "connections that got their answer"},
		"failed":   {Means: "connections that did not"},
	}
}

// Readings are the numbers so far.
func (c *ConnectionFlood) Readings(context.Context) (map[string]float64, error) {
	return map[string]float64{
		"attempts": float64(c.attempts.Load()), "opened": float64(c.opened.Load()), "failed": float64(c.failed.Load()),
	}, nil
}
