// Package nflog reads the packets that netfilter rules log to a group (nft: log group N; iptables: NFLOG): a small
// nfnetlink_log client. Logging to a group works in every network namespace; logging to the kernel's log does not.
package nflog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages and attributes of nfnetlink_log.
// Source: linux include/uapi/linux/netfilter/nfnetlink_log.h.
const (
	nfulnlMsgPacket = 0
	nfulnlMsgConfig = 1

	nfulaPacketHdr    = 1
	nfulaIfindexIn    = 4
	nfulaIfindexOut   = 5
	nfulaPayload      = 9
	nfulaPrefix       = 10
	nfulaSeq          = 12
	nfulaCfgCmd       = 1
	nfulaCfgMode      = 2
	nfulaCfgQThresh   = 5
	nfulaCfgFlags     = 6
	nfulnlCmdBind     = 1
	nfulnlCopyPacket  = 2
	nfulnlCfgFlagSeq  = 1
	nfgenmsgLen       = 4
	messageRoom       = 4096
	defaultCopyRange  = 128
	defaultReadBuffer = 1 << 20
)

// ErrClosed is what [Group.Receive] returns after [Group.Close].
var ErrClosed = fmt.Errorf("log group closed: %w", net.ErrClosed)

// Options are the settings of a group; the zero value is good.
type Options struct {
	// CopyRange is how many bytes of each packet are copied to user space; 0 means 128: the headers.
	CopyRange uint32
	// ReadBuffer is the size of the socket's receive buffer in bytes; 0 means 1 MiB.
	ReadBuffer int
}

// Packet is one packet that was logged.
type Packet struct {
	// Prefix is the rule's.
	Prefix string
	// Hook is where it was logged, as in enum nf_inet_hooks of linux/netfilter.h.
	Hook uint8
	// InDev and OutDev are interface indexes, 0 where the hook has none.
	InDev, OutDev uint32
	// Payload starts at the IP header and may be cut. It belongs to the receiver.
	Payload []byte
}

// Group is one group that is being listened to. Receive is for one goroutine at a time, everything else for any.
type Group struct {
	num     uint16
	conn    *netlink.Conn
	pending []Packet

	next    uint32
	missed  atomic.Uint64
	closed  atomic.Bool
	closing sync.Once
	err     error
}

// Open listens to group num in the network namespace of the calling thread. It fails with EPERM when somebody else
// does. Packets come one by one and at once.
func Open(ctx context.Context, num uint16, opts Options) (*Group, error) {
	if opts.CopyRange == 0 {
		opts.CopyRange = defaultCopyRange
	}
	if opts.ReadBuffer == 0 {
		opts.ReadBuffer = defaultReadBuffer
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{MessageBufferSize: int(opts.CopyRange) + messageRoom})
	if err != nil {
		return nil, fmt.Errorf("log group %d: netlink socket: %w", num, err)
	}
	g := &Group{num: num, conn: conn}
	if err := g.setUp(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("log group %d: %w", num, err), g.Close())
	}
	return g, nil
}

func (g *Group) setUp(ctx context.Context, opts Options) error {
	if err := g.conn.SetReadBuffer(opts.ReadBuffer); err != nil {
		return fmt.Errorf("receive buffer of %d bytes: %w", opts.ReadBuffer, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = g.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	mode := append(be32(opts.CopyRange), nfulnlCopyPacket, 0)
	for _, step := range []struct {
		name string
		attr netlink.Attribute
	}{
		{"bind (is somebody else listening?)", netlink.Attribute{Type: nfulaCfgCmd, Data: []byte{nfulnlCmdBind}}},
		{"copy mode", netlink.Attribute{Type: nfulaCfgMode, Data: mode}},
		// A threshold of one: without it the kernel keeps packets back for up to a second.
		{"threshold", netlink.Attribute{Type: nfulaCfgQThresh, Data: be32(1)}},
		{"sequence numbers", netlink.Attribute{Type: nfulaCfgFlags, Data: binary.BigEndian.AppendUint16(nil, nfulnlCfgFlagSeq)}},
	} {
		if err := g.configure(step.attr); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return ctx.Err()
}

// configure sends one request and waits for its answer; packets that come in between are kept for Receive.
func (g *Group) configure(attr netlink.Attribute) error {
	data, err := netlink.MarshalAttributes([]netlink.Attribute{attr})
	if err != nil {
		return err
	}
	// nfgenmsg: family, version, resource id (the group's number) in network order.
	head := []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, byte(g.num >> 8), byte(g.num)}
	if _, err := g.conn.Send(netlink.Message{
		Header: netlink.Header{Type: logType(nfulnlMsgConfig), Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(head, data...),
	}); err != nil {
		return err
	}
	for {
		msgs, err := g.conn.Receive()
		if err != nil {
			return err
		}
		answered := false
		for _, m := range msgs {
			if m.Header.Type == netlink.Error {
				answered = true // an answer without an error is the acknowledgement
				continue
			}
			if err := g.keep(m); err != nil {
				return err
			}
		}
		if answered {
			return nil
		}
	}
}

// Receive waits for the next packet. Packets that were lost because they came faster than they were read are counted, see
// [Group.Missed]. After Close it returns [ErrClosed].
func (g *Group) Receive() (Packet, error) {
	for len(g.pending) == 0 {
		msgs, err := g.conn.Receive()
		switch {
		case g.closed.Load():
			return Packet{}, ErrClosed
		case errors.Is(err, unix.ENOBUFS): // the sequence numbers will tell how many
			continue
		case err != nil:
			return Packet{}, fmt.Errorf("log group %d: receive: %w", g.num, err)
		}
		for _, m := range msgs {
			if err := g.keep(m); err != nil {
				return Packet{}, err
			}
		}
	}
	p := g.pending[0]
	g.pending = g.pending[1:]
	return p, nil
}

// keep parses a message and puts its packet with those that wait for Receive.
func (g *Group) keep(m netlink.Message) error {
	if m.Header.Type != logType(nfulnlMsgPacket) {
		return nil
	}
	if len(m.Data) < nfgenmsgLen {
		return fmt.Errorf("log group %d: packet message of %d bytes", g.num, len(m.Data))
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenmsgLen:])
	if err != nil {
		return fmt.Errorf("log group %d: packet message: %w", g.num, err)
	}
	ad.ByteOrder = binary.BigEndian
	var p Packet
	for ad.Next() {
		switch ad.Type() {
		case nfulaPacketHdr: // protocol, hook, padding
			if b := ad.Bytes(); len(b) >= 3 {
				p.Hook = b[2]
			}
		case nfulaIfindexIn:
			p.InDev = ad.Uint32()
		case nfulaIfindexOut:
			p.OutDev = ad.Uint32()
		case nfulaPayload:
			p.Payload = ad.Bytes()
		case nfulaPrefix:
			p.Prefix = strings.TrimRight(ad.String(), "\x00")
		case nfulaSeq:
			seq := ad.Uint32()
			g.missed.Add(uint64(seq - g.next))
			g.next = seq + 1
		}
	}
	if err := ad.Err(); err != nil {
		return fmt.Errorf("log group %d: packet message: %w", g.num, err)
	}
	g.pending = append(g.pending, p)
	return nil
}

// Missed is how many packets were logged and never read.
func (g *Group) Missed() uint64 { return g.missed.Load() }

// Close ends a waiting Receive. Rules may go on logging to the group: the kernel then does nothing.
func (g *Group) Close() error {
	g.closing.Do(func() {
		g.closed.Store(true)
		if err := g.conn.Close(); err != nil {
			g.err = fmt.Errorf("log group %d: close: %w", g.num, err)
		}
	})
	return g.err
}

func logType(msg uint16) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_ULOG<<8 | msg)
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
