package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/agent/undo"
)

// announceEvery is how long neighbours that have heard from the other owner of an address keep what they heard.
const announceEvery = 200 * time.Millisecond

// announcements tell a link's neighbours again and again that an address is here.
type announcements struct{ sent atomic.Uint64 }

// start sends the first one, and the others until the scope is undone.
func (a *announcements) start(scope *undo.Scope, name string, address netip.Addr) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	conn, err := packet.Listen(link, packet.Raw, unix.ETH_P_ARP, nil)
	if err != nil {
		return fmt.Errorf("announce %s on %s: %w", address, name, err)
	}
	stop := make(chan struct{})
	var done sync.WaitGroup
	if err := scope.PushFunc("stop announcing "+address.String(), func(context.Context) error {
		close(stop)
		done.Wait()
		return conn.Close()
	}); err != nil {
		return errors.Join(err, conn.Close())
	}
	frame, everybody := announcement(link.HardwareAddr, address), &packet.Addr{HardwareAddr: broadcast}
	if _, err := conn.WriteTo(frame, everybody); err != nil {
		return fmt.Errorf("announce %s on %s: %w", address, name, err)
	}
	a.sent.Add(1)
	done.Go(func() {
		tick := time.NewTicker(announceEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			// A link that is down sends nothing, and may come up again.
			if _, err := conn.WriteTo(frame, everybody); err == nil {
				a.sent.Add(1)
			}
		}
	})
	return nil
}

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// announcement is an Ethernet frame with an ARP announcement: a request for the address that names it as the sender's own too (RFC 5227).
func announcement(mac net.HardwareAddr, address netip.Addr) []byte {
	ip := address.As4()
	frame := append(append([]byte{}, broadcast...), mac...)
	frame = append(frame, 0x08, 0x06 /* ARP */, 0, 1 /* Ethernet */, 0x08, 0 /* IPv4 */, 6, 4, 0, 1 /* request */)
	frame = append(append(frame, mac...), ip[:]...)
	return append(append(frame, 0, 0, 0, 0, 0, 0), ip[:]...)
}
