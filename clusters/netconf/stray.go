package netconf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/faults/ctnetlink"
	"github.com/relapse-k8s/relapse/faults/hold"
)

const (
	// strayPort is free: the namespace is new.
	strayPort = 7
	// farBehind is more than any window.
	farBehind = -1 << 30
	// strayMark is carried by the segment that is made up.
	strayMark = 0x52000000
	// strayLimit bounds the trial, which takes milliseconds.
	strayLimit = 20 * time.Second
)

// segmentPasses sends a segment over the loopback whose sequence number is off by an offset, and returns an error when conntrack
// calls it INVALID.
func segmentPasses(ctx context.Context, offset int32) error {
	ctx, cancel := context.WithTimeout(ctx, strayLimit)
	defer cancel()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetUp(lo), trackConnections()); err != nil {
		return err
	}
	h, err := hold.Start(ctx, hold.Spec{
		Name: "relapse_stray", Queue: 2, Match: hold.Match{Proto: unix.IPPROTO_TCP, SrcPort: strayPort}, Hook: hold.Output,
		Policy: &hold.Stray{Offset: offset}, InjectMark: strayMark,
	})
	if err != nil {
		return err
	}
	return errors.Join(sendStray(ctx, h), h.Close())
}

// trackConnections makes the kernel track connections in this namespace, which it does only where a rule asks for it.
func trackConnections() error {
	conn, err := nftables.New()
	if err != nil {
		return err
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "relapse_track"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "output", Table: table, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Ct{Key: expr.CtKeySTATE, Register: 1}}})
	return conn.Flush()
}

// sendStray makes one connection in which the server sends a byte, and the hold its copy.
func sendStray(ctx context.Context, h *hold.Hold) error {
	table, err := ctnetlink.Open()
	if err != nil {
		return err
	}
	defer table.Close()
	before, err := table.Stats(ctx)
	if err != nil {
		return err
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: strayPort})
	if err != nil {
		return err
	}
	defer listener.Close()
	client, err := (&net.Dialer{}).DialContext(ctx, "tcp4", listener.Addr().String())
	if err != nil {
		return err
	}
	defer client.Close()
	server, err := listener.AcceptTCP()
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := server.Write([]byte{0}); err != nil {
		return err
	}
	for {
		// The segment has passed conntrack when the hold has sent it.
		stats, err := h.Stats(ctx)
		if err != nil {
			return err
		}
		if stats.Errors > 0 {
			return errors.New(stats.LastError)
		}
		if stats.Injected > 0 {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no segment was sent: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	after, err := table.Stats(ctx)
	if err != nil {
		return err
	}
	if n := after["invalid"] - before["invalid"]; n > 0 {
		return fmt.Errorf("tried: conntrack called %d segments INVALID", n)
	}
	return nil
}
