package features

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/ctnetlink"
	"github.com/relapse-k8s/relapse/clusters/netfilter/hold"
)

const (
	// strayPort is free: the namespace is new.
	strayPort = 7
	// farBehind is more than any window.
	farBehind = -1 << 30
	// strayMark is the mark of the forged segment.
	strayMark = 0x52000000
	// strayLimit is the time limit of the trial, which normally takes milliseconds.
	strayLimit = 20 * time.Second
)

// segmentPasses sends a segment over the loopback whose sequence number is wrong by an offset, and returns an error if conntrack marks it
// INVALID.
func segmentPasses(ctx context.Context, offset int32) error {
	ctx, cancel := context.WithTimeout(ctx, strayLimit)
	defer cancel()
	if err := loopbackUp(); err != nil {
		return err
	}
	// The kernel tracks connections only in namespaces with a rule that uses conntrack. The rule is deleted with the namespace.
	if _, err := addOutputRule("relapse_track", &expr.Ct{Key: expr.CtKeySTATE, Register: 1}); err != nil {
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

// sendStray makes one connection in which the server sends a byte, and the hold sends a copy of the segment.
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
	if n := after[ctnetlink.Invalid] - before[ctnetlink.Invalid]; n > 0 {
		return fmt.Errorf("tried: conntrack marked %d segments INVALID", n)
	}
	return nil
}
