package hold

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nfnl"
)

// Messages and attributes of nfnetlink_queue.
// Source: linux include/uapi/linux/netfilter/nfnetlink_queue.h.
const (
	nfqnlMsgVerdict = 1
	nfqnlMsgConfig  = 2

	nfqaPacketHdr   = 1
	nfqaVerdictHdr  = 2
	nfqaPayload     = 10
	nfqaCfgCmd      = 1
	nfqaCfgParams   = 2
	nfqaCfgMaxLen   = 3
	nfqaCfgMask     = 4
	nfqaCfgFlags    = 5
	nfqnlCmdBind    = 1
	nfqnlCopyPacket = 2
	nfqaCfgFailOpen = 1
	nfqaCfgGSO      = 4
	// usualFlags: a full queue passes packets on, and those that stand for many (GSO) are passed whole.
	usualFlags = nfqaCfgFailOpen | nfqaCfgGSO

	// nfAccept is NF_ACCEPT of linux/netfilter.h: go on to the next hook.
	nfAccept = 1
)

const (
	// wholePacket is how many bytes of each packet are copied to user space: all of them.
	wholePacket = 0xffff
	// maxWaiting is how many packets may wait for a verdict. The kernel's own default is 1024.
	maxWaiting = 4096
	// readBuffer is the size of the socket's receive buffer in bytes.
	readBuffer = 4 << 20
	// perSend is how many verdicts, of 32 bytes each, one system call carries.
	perSend = 1024
)

// Packet is one packet that waits for a verdict.
type Packet struct {
	// ID names the packet within its queue; the kernel counts from 1.
	ID uint32
	// Payload starts at the IP header. It belongs to the receiver.
	Payload []byte
	// Arrived is when user space read it.
	Arrived time.Time
	// Flow is read from Payload; FlowErr says why it could not be.
	Flow    Flow
	FlowErr error
}

// VerdictError says that the kernel refused a verdict; ENOENT means that the packet was not waiting any more.
type VerdictError struct {
	ID  uint32
	Err error
}

func (e *VerdictError) Error() string {
	return fmt.Sprintf("verdict for packet %d refused: %v", e.ID, e.Err)
}

// Unwrap returns the kernel's answer.
func (e *VerdictError) Unwrap() error { return e.Err }

// QueueStats counts losses and refusals.
type QueueStats struct {
	// Kernel says that the kernel's counters (Waiting, Dropped) could be read. In a user namespace of our own they
	// cannot: /proc/net/netfilter/nfnetlink_queue has mode 0440 and belongs to the first namespace's root.
	Kernel bool
	// Waiting is the number of packets that wait for a verdict now (queue_total).
	Waiting uint64
	// Dropped is the kernel's queue_dropped (queue full) plus queue_user_dropped (receive buffer full): packets lost.
	// Both stay 0 with fail-open. Source: linux net/netfilter/nfnetlink_queue.c (__nfqnl_enqueue_packet, seq_show).
	Dropped uint64
	// Missed is the number of gaps in packet numbers: packets that found the receive buffer full and, with fail-open,
	// passed without being seen.
	Missed uint64
}

// queue is one bound NFQUEUE. Receive is for one goroutine at a time, everything else for any.
type queue struct {
	*nfnl.Socket
	num    uint16
	proc   *os.File
	lastID uint32
	missed atomic.Uint64
}

// openQueue binds queue num in the network namespace of the calling thread, in copy-packet mode. It fails with EBUSY or EPERM if another
// process has the queue.
func openQueue(ctx context.Context, num uint16, maxWaiting uint32, readBuffer int, flags uint32) (*queue, error) {
	// Opened here, so that it keeps showing this namespace whichever thread reads it.
	proc, err := os.Open("/proc/thread-self/net/netfilter/nfnetlink_queue")
	if err != nil && !errors.Is(err, os.ErrPermission) { // readable by the first user namespace's root only
		return nil, fmt.Errorf("queue %d: the kernel's queue counters: %w", num, err)
	}
	socket, err := nfnl.Open(ctx, nfnl.Config{
		Name: "queue", Subsystem: unix.NFNL_SUBSYS_QUEUE, Number: num, CopyRange: wholePacket, ReadBuffer: readBuffer, Configure: nfqnlMsgConfig,
		// The copy mode is set last: no packet is delivered before it.
		Steps: []nfnl.Step{
			{Name: "bind (is it taken, see /proc/net/netfilter/nfnetlink_queue?)", Attributes: []netlink.Attribute{{Type: nfqaCfgCmd, Data: []byte{nfqnlCmdBind, 0, 0, 0}}}},
			{Name: "flags fail-open and gso", Attributes: []netlink.Attribute{{Type: nfqaCfgFlags, Data: nfnl.BE32(flags)}, {Type: nfqaCfgMask, Data: nfnl.BE32(usualFlags)}}},
			{Name: "queue length", Attributes: []netlink.Attribute{{Type: nfqaCfgMaxLen, Data: nfnl.BE32(maxWaiting)}}},
			{Name: "copy mode", Attributes: []netlink.Attribute{{Type: nfqaCfgParams, Data: append(nfnl.BE32(wholePacket), nfqnlCopyPacket)}}},
		},
	})
	if err != nil {
		_ = proc.Close() // an error means that it could not be opened
		return nil, err
	}
	return &queue{Socket: socket, num: num, proc: proc}, nil
}

// Receive waits for the next packet. A refused verdict is returned as *[VerdictError] and a passed deadline as
// [os.ErrDeadlineExceeded]: go on after both. After Close its error is [net.ErrClosed].
func (q *queue) Receive() (Packet, error) {
	attributes, err := q.Socket.Receive()
	if op, ok := errors.AsType[*netlink.OpError](err); ok && op.Sequence != 0 {
		return Packet{}, &VerdictError{ID: op.Sequence, Err: err}
	}
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Arrived: time.Now()}
	for attributes.Next() {
		switch attributes.Type() {
		case nfqaPacketHdr:
			if b := attributes.Bytes(); len(b) >= 4 {
				p.ID = binary.BigEndian.Uint32(b)
			}
		case nfqaPayload:
			p.Payload = attributes.Bytes()
		}
	}
	if err := attributes.Err(); err != nil {
		return Packet{}, fmt.Errorf("queue %d: packet: %w", q.num, err)
	}
	if q.lastID != 0 && p.ID > q.lastID+1 {
		q.missed.Add(uint64(p.ID - q.lastID - 1))
	}
	q.lastID = p.ID
	p.Flow, p.FlowErr = ParseFlow(p.Payload)
	return p, nil
}

// accept accepts packets, in this order, in as few system calls as possible. The kernel puts each packet back within the call, one after
// the other, so the order of verdicts is the order of packets. A refused verdict is reported by Receive.
func (q *queue) accept(ids ...uint32) error { return q.acceptAs(nil, ids...) }

// acceptAs accepts packets, some of them with another payload.
func (q *queue) acceptAs(payloads map[uint32][]byte, ids ...uint32) error {
	for part := range slices.Chunk(ids, perSend) {
		batch := make([]netlink.Message, len(part))
		for i, id := range part {
			attributes := []netlink.Attribute{{Type: nfqaVerdictHdr, Data: append(nfnl.BE32(nfAccept), nfnl.BE32(id)...)}}
			if payload := payloads[id]; payload != nil {
				attributes = append(attributes, netlink.Attribute{Type: nfqaPayload, Data: payload})
			}
			verdict, err := netlink.MarshalAttributes(attributes)
			if err != nil {
				return fmt.Errorf("queue %d: verdict for packet %d: %w", q.num, id, err)
			}
			batch[i] = q.Message(nfqnlMsgVerdict, 0, verdict)
			batch[i].Header.Sequence = id // so that an error names the packet
		}
		if _, err := q.SendMessages(batch); err != nil {
			return fmt.Errorf("queue %d: sending verdicts: %w", q.num, err)
		}
	}
	return nil
}

// Stats reads the counters.
func (q *queue) Stats() (QueueStats, error) {
	s := QueueStats{Missed: q.missed.Load()}
	if q.proc == nil {
		return s, nil
	}
	b, err := io.ReadAll(io.NewSectionReader(q.proc, 0, 1<<20))
	if err != nil {
		return s, fmt.Errorf("queue %d: the kernel's counters: %w", q.num, err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 7 || f[0] != strconv.Itoa(int(q.num)) {
			continue
		}
		var n [3]uint64
		for i, at := range []int{2, 5, 6} {
			if n[i], err = strconv.ParseUint(f[at], 10, 64); err != nil {
				return s, fmt.Errorf("queue %d: the kernel's counters %q: %w", q.num, line, err)
			}
		}
		s.Kernel, s.Waiting, s.Dropped = true, n[0], n[1]+n[2]
		return s, nil
	}
	return s, fmt.Errorf("queue %d: not among the kernel's queues", q.num)
}

// Close unbinds the queue and ends a waiting Receive. The kernel drops what still waits for a verdict.
func (q *queue) Close() error {
	_ = q.proc.Close() // nil, or open to be read
	return q.Socket.Close()
}
