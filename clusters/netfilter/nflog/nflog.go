// Package nflog reads the packets that netfilter rules log to a group (nft: log group N; iptables: NFLOG): a small
// nfnetlink_log client. Logging to a group works in every network namespace; logging to the kernel's log does not.
package nflog

import (
	"context"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nfnl"
)

// Messages and attributes of nfnetlink_log.
// Source: linux include/uapi/linux/netfilter/nfnetlink_log.h.
const (
	nfulnlMsgConfig = 1

	nfulaPayload     = 9
	nfulaPrefix      = 10
	nfulaCfgCmd      = 1
	nfulaCfgMode     = 2
	nfulaCfgQThresh  = 5
	nfulnlCmdBind    = 1
	nfulnlCopyPacket = 2
)

const (
	// copyRange is how many bytes of each packet are copied to user space: the headers.
	copyRange  = 128
	readBuffer = 1 << 20
)

// Packet is one packet that was logged.
type Packet struct {
	// Prefix is the rule's.
	Prefix string
	// Payload starts at the IP header and may be cut. It belongs to the receiver.
	Payload []byte
}

// Group reads one group. Receive is for one goroutine at a time, everything else for any.
type Group struct{ socket *nfnl.Socket }

// Open listens to group num in the network namespace of the calling thread. It fails with EPERM if somebody else does. Packets
// are delivered one by one and at once.
func Open(ctx context.Context, num uint16) (*Group, error) {
	mode := append(nfnl.BE32(copyRange), nfulnlCopyPacket, 0)
	socket, err := nfnl.Open(ctx, nfnl.Config{
		Name: "log group", Subsystem: unix.NFNL_SUBSYS_ULOG, Number: num, CopyRange: copyRange, ReadBuffer: readBuffer, Configure: nfulnlMsgConfig,
		Steps: []nfnl.Step{
			{Name: "bind (is somebody else listening?)", Attributes: []netlink.Attribute{{Type: nfulaCfgCmd, Data: []byte{nfulnlCmdBind}}}},
			{Name: "copy mode", Attributes: []netlink.Attribute{{Type: nfulaCfgMode, Data: mode}}},
			// A threshold of one: without it the kernel keeps packets back for up to a second.
			{Name: "threshold", Attributes: []netlink.Attribute{{Type: nfulaCfgQThresh, Data: nfnl.BE32(1)}}},
		},
	})
	if err != nil {
		return nil, err
	}
	return &Group{socket}, nil
}

// Receive waits for the next packet. Packets that arrive faster than they are read are lost. After Close its error is [net.ErrClosed].
func (g *Group) Receive() (Packet, error) {
	attributes, err := g.socket.Receive()
	if err != nil {
		return Packet{}, err
	}
	var p Packet
	for attributes.Next() {
		switch attributes.Type() {
		case nfulaPayload:
			p.Payload = attributes.Bytes()
		case nfulaPrefix:
			p.Prefix = strings.TrimRight(attributes.String(), "\x00")
		}
	}
	if err := attributes.Err(); err != nil {
		return Packet{}, fmt.Errorf("log group: packet: %w", err)
	}
	return p, nil
}

// Close ends a waiting Receive. Rules may go on logging to the group: the kernel then does nothing.
func (g *Group) Close() error { return g.socket.Close() }
