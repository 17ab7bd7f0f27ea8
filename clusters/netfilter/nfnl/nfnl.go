// Package nfnl has what all clients of nfnetlink, netfilter's family of netlink, need: messages and attributes, and a socket for the
// subsystems that send packets to user space (nfnetlink_log, nfnetlink_queue).
package nfnl

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// headerLen is the length of struct nfgenmsg: family, version, resource id in network order.
// Source: linux include/uapi/linux/netfilter/nfnetlink.h.
const headerLen = 4

// Message is a request to a subsystem. The resource is the number of a queue or group, if the subsystem has such.
func Message(subsystem, message uint16, flags netlink.HeaderFlags, family uint8, resource uint16, attributes []byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(subsystem<<8 | message), Flags: netlink.Request | flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, byte(resource >> 8), byte(resource)}, attributes...),
	}
}

// Attributes reads the attributes of a message. Numbers are in network order.
func Attributes(m netlink.Message) (*netlink.AttributeDecoder, error) {
	if len(m.Data) < headerLen {
		return nil, fmt.Errorf("message of %d bytes", len(m.Data))
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[headerLen:])
	if err != nil {
		return nil, err
	}
	ad.ByteOrder = binary.BigEndian
	return ad, nil
}

// BE32 is a number in network order.
func BE32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// Bound lets ctx end what waits on a socket. The socket is of no use after that, as answers may be left in it.
func Bound(ctx context.Context, conn *netlink.Conn) (release func()) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}
