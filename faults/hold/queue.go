package hold

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Messages and attributes of nfnetlink_queue.
// Source: linux include/uapi/linux/netfilter/nfnetlink_queue.h.
const (
	nfqnlMsgPacket  = 0
	nfqnlMsgVerdict = 1
	nfqnlMsgConfig  = 2

	nfqaPacketHdr    = 1
	nfqaVerdictHdr   = 2
	nfqaMark         = 3
	nfqaIfindexIn    = 5
	nfqaIfindexOut   = 6
	nfqaPayload      = 10
	nfqaCapLen       = 13
	nfqaCfgCmd       = 1
	nfqaCfgParams    = 2
	nfqaCfgMaxLen    = 3
	nfqaCfgMask      = 4
	nfqaCfgFlags     = 5
	nfqnlCmdBind     = 1
	nfqnlCopyPacket  = 2
	nfqaCfgFailOpen  = 1
	nfqaCfgGSO       = 4
	nfgenmsgLen      = 4
	queueMessageRoom = 4096
	maxSend          = 64 << 10
)

// ErrClosed is what [Queue.Receive] returns after [Queue.Close].
var ErrClosed = fmt.Errorf("queue closed: %w", net.ErrClosed)

// QueueOptions are the settings of a queue; the zero value is good.
type QueueOptions struct {
	// CopyRange is how many bytes of each packet are copied to user space; 0 means 65535 (all of it).
	CopyRange uint32
	// MaxLen is how many packets may wait for a verdict; 0 means 4096. The kernel's own default is 1024.
	MaxLen uint32
	// DropWhenFull drops packets when the queue is full; by default they pass (NFQA_CFG_F_FAIL_OPEN).
	DropWhenFull bool
	// ReadBuffer is the size of the socket's receive buffer in bytes; 0 means 4 MiB.
	ReadBuffer int
}

// Packet is one packet that waits for a verdict.
type Packet struct {
	// ID names the packet within its queue; the kernel counts from 1.
	ID uint32
	// Queue is the number of the queue it came from.
	Queue uint16
	// Hook is where it was caught.
	Hook Hook
	// HWProto is the Ethernet protocol (0x0800 is IPv4).
	HWProto uint16
	// Mark is the packet mark (0 when none).
	Mark uint32
	// InDev and OutDev are interface indexes, 0 where the hook has none.
	InDev, OutDev uint32
	// Payload starts at the IP header. It belongs to the receiver.
	Payload []byte
	// Length is the packet's real length in bytes, more than len(Payload) when CopyRange cut it.
	Length uint32
	// Arrived is when user space read it.
	Arrived time.Time
	// Flow is read from Payload; FlowErr says why it could not be.
	Flow    Flow
	FlowErr error
}

// Code is what the kernel shall do with a packet.
type Code uint32

// Verdict codes. Source: linux include/uapi/linux/netfilter.h.
const (
	// CodeDrop drops the packet.
	CodeDrop Code = 0
	// CodeAccept sends it on to the next hook.
	CodeAccept Code = 1
	// CodeRepeat sends it through the same hook again; needs a mark that the rule excludes, or it comes back.
	CodeRepeat Code = 4
)

// Verdict is the answer for one packet.
type Verdict struct {
	ID   uint32
	Code Code
	// Mark, when not nil, becomes the packet's mark.
	Mark *uint32
	// Payload, when not nil, replaces the packet from the IP header on; see [FixChecksums].
	Payload []byte
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

// QueueStats counts what did not go well.
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
	// NoBufs is how often the socket reported ENOBUFS.
	NoBufs uint64
}

// Queue is one bound NFQUEUE. Receive is for one goroutine at a time, everything else for any.
type Queue struct {
	num  uint16
	conn *netlink.Conn
	raw  syscall.RawConn
	proc *os.File

	pending []Packet
	lastID  uint32

	missed, noBufs atomic.Uint64
	closed         atomic.Bool
	closeOnce      sync.Once
	closeErr       error
}

// Open binds queue num in the network namespace of the calling thread, in copy-packet mode, with GSO packets passed whole
// (NFQA_CFG_F_GSO). It fails with EBUSY or EPERM when somebody else has the queue.
func Open(ctx context.Context, num uint16, opts QueueOptions) (*Queue, error) {
	if opts.CopyRange == 0 || opts.CopyRange > 0xffff {
		opts.CopyRange = 0xffff
	}
	if opts.MaxLen == 0 {
		opts.MaxLen = 4096
	}
	if opts.ReadBuffer == 0 {
		opts.ReadBuffer = 4 << 20
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{
		MessageBufferSize: int(opts.CopyRange) + queueMessageRoom,
	})
	if err != nil {
		return nil, fmt.Errorf("queue %d: netlink socket: %w", num, err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("queue %d: netlink socket: %w", num, err), conn.Close())
	}
	q := &Queue{num: num, conn: conn, raw: raw}
	if err := q.setUp(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("queue %d: %w", num, err), q.Close())
	}
	return q, nil
}

func (q *Queue) setUp(ctx context.Context, opts QueueOptions) error {
	// Opened here, so that it keeps showing this namespace whichever thread reads it.
	proc, err := os.Open("/proc/thread-self/net/netfilter/nfnetlink_queue")
	switch {
	case err == nil:
		q.proc = proc
	case !errors.Is(err, os.ErrPermission): // readable by the first user namespace's root only
		return fmt.Errorf("the kernel's queue counters: %w", err)
	}
	if err := q.growBuffer(opts.ReadBuffer); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = q.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	bind := []byte{nfqnlCmdBind, 0, 0, 0}
	if err := q.configure(netlink.Attribute{Type: nfqaCfgCmd, Data: bind}); err != nil {
		return fmt.Errorf("bind (is it taken, see /proc/net/netfilter/nfnetlink_queue?): %w", err)
	}
	flags := uint32(nfqaCfgGSO)
	if !opts.DropWhenFull {
		flags |= nfqaCfgFailOpen
	}
	params := append(be32(opts.CopyRange), nfqnlCopyPacket)
	// The parameters go last: no packet is delivered before the copy mode is set.
	for _, step := range []struct {
		name  string
		attrs []netlink.Attribute
	}{
		{"flags fail-open and gso", []netlink.Attribute{{Type: nfqaCfgFlags, Data: be32(flags)}, {Type: nfqaCfgMask, Data: be32(nfqaCfgGSO | nfqaCfgFailOpen)}}},
		{"queue length", []netlink.Attribute{{Type: nfqaCfgMaxLen, Data: be32(opts.MaxLen)}}},
		{"copy mode", []netlink.Attribute{{Type: nfqaCfgParams, Data: params}}},
	} {
		if err := q.configure(step.attrs...); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// growBuffer prefers SO_RCVBUFFORCE, which may exceed net.core.rmem_max and needs CAP_NET_ADMIN in the first user namespace.
func (q *Queue) growBuffer(size int) error {
	raw, err := q.conn.SyscallConn()
	if err != nil {
		return fmt.Errorf("socket of the queue: %w", err)
	}
	var forced error
	if err := raw.Control(func(fd uintptr) {
		forced = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size)
	}); err != nil {
		return fmt.Errorf("socket of the queue: %w", err)
	}
	if forced == nil {
		return nil
	}
	if err := q.conn.SetReadBuffer(size); err != nil {
		return fmt.Errorf("receive buffer of %d bytes: %w", size, err)
	}
	return nil
}

// configure sends one request and waits for its answer; packets that come in between are kept for Receive.
func (q *Queue) configure(attrs ...netlink.Attribute) error {
	data, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return err
	}
	req := netlink.Message{
		Header: netlink.Header{Type: queueType(nfqnlMsgConfig), Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(q.nfgenmsg(), data...),
	}
	if _, err := q.conn.Send(req); err != nil {
		return err
	}
	for {
		msgs, err := q.conn.Receive()
		if err != nil {
			return err
		}
		for _, m := range msgs {
			if m.Header.Type == netlink.Error {
				return nil // an answer without an error is the acknowledgement
			}
			if p, ok, err := q.parse(m); err != nil {
				return err
			} else if ok {
				q.pending = append(q.pending, p)
			}
		}
	}
}

// SetReadDeadline ends a Receive at t with [os.ErrDeadlineExceeded]; the zero time means never.
func (q *Queue) SetReadDeadline(t time.Time) error { return q.conn.SetReadDeadline(t) }

// Ready reports whether Receive would find something at once.
func (q *Queue) Ready() bool {
	if len(q.pending) > 0 {
		return true
	}
	ready := false
	_ = q.raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		ready = err == nil && n > 0 && fds[0].Revents&unix.POLLIN != 0
	})
	return ready
}

// Receive waits for the next packet. It survives ENOBUFS (counted). A refused verdict is returned as *[VerdictError] and
// a passed deadline as [os.ErrDeadlineExceeded]: go on after both. After Close it returns [ErrClosed].
func (q *Queue) Receive() (Packet, error) {
	if len(q.pending) > 0 {
		p := q.pending[0]
		q.pending = q.pending[1:]
		return p, nil
	}
	for {
		msgs, err := q.conn.Receive()
		if q.closed.Load() {
			return Packet{}, ErrClosed
		}
		if err != nil {
			var op *netlink.OpError
			switch {
			case errors.Is(err, unix.ENOBUFS):
				q.noBufs.Add(1)
				continue
			case errors.As(err, &op) && op.Sequence != 0:
				return Packet{}, &VerdictError{ID: op.Sequence, Err: err}
			}
			return Packet{}, fmt.Errorf("queue %d: receive: %w", q.num, err)
		}
		for _, m := range msgs {
			p, ok, err := q.parse(m)
			if err != nil {
				return Packet{}, err
			}
			if ok {
				q.pending = append(q.pending, p)
			}
		}
		if len(q.pending) > 0 {
			p := q.pending[0]
			q.pending = q.pending[1:]
			return p, nil
		}
	}
}

func (q *Queue) parse(m netlink.Message) (Packet, bool, error) {
	if m.Header.Type != queueType(nfqnlMsgPacket) {
		return Packet{}, false, nil
	}
	if len(m.Data) < nfgenmsgLen {
		return Packet{}, false, fmt.Errorf("queue %d: packet message of %d bytes", q.num, len(m.Data))
	}
	p := Packet{Queue: q.num, Arrived: time.Now()}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenmsgLen:])
	if err != nil {
		return Packet{}, false, fmt.Errorf("queue %d: packet message: %w", q.num, err)
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case nfqaPacketHdr:
			if b := ad.Bytes(); len(b) >= 7 {
				p.ID = binary.BigEndian.Uint32(b)
				p.HWProto = binary.BigEndian.Uint16(b[4:])
				p.Hook = Hook(b[6])
			}
		case nfqaMark:
			p.Mark = ad.Uint32()
		case nfqaIfindexIn:
			p.InDev = ad.Uint32()
		case nfqaIfindexOut:
			p.OutDev = ad.Uint32()
		case nfqaPayload:
			p.Payload = ad.Bytes()
		case nfqaCapLen:
			p.Length = ad.Uint32()
		}
	}
	if err := ad.Err(); err != nil {
		return Packet{}, false, fmt.Errorf("queue %d: packet message: %w", q.num, err)
	}
	if p.Length == 0 {
		p.Length = uint32(len(p.Payload))
	}
	if q.lastID != 0 && p.ID > q.lastID+1 {
		q.missed.Add(uint64(p.ID - q.lastID - 1))
	}
	q.lastID = p.ID
	p.Flow, p.FlowErr = ParseFlow(p.Payload)
	return p, true, nil
}

// Verdict answers for one packet by its number.
func (q *Queue) Verdict(id uint32, code Code) error { return q.Send(Verdict{ID: id, Code: code}) }

// VerdictMark answers and sets the packet's mark.
func (q *Queue) VerdictMark(id uint32, code Code, mark uint32) error {
	return q.Send(Verdict{ID: id, Code: code, Mark: &mark})
}

// VerdictPayload answers and replaces the packet, which starts at the IP header; see [FixChecksums].
func (q *Queue) VerdictPayload(id uint32, code Code, payload []byte) error {
	return q.Send(Verdict{ID: id, Code: code, Payload: payload})
}

// Send answers for several packets, in this order, in as few system calls as their size allows. The kernel puts each
// packet back within the call, one after the other, so the order of verdicts is the order of packets.
// A refused verdict is reported by Receive.
func (q *Queue) Send(vs ...Verdict) error {
	var batch []netlink.Message
	size := 0
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		_, err := q.conn.SendMessages(batch)
		batch, size = batch[:0], 0
		if err != nil {
			return fmt.Errorf("queue %d: sending verdicts: %w", q.num, err)
		}
		return nil
	}
	for _, v := range vs {
		attrs := []netlink.Attribute{{Type: nfqaVerdictHdr, Data: append(be32(uint32(v.Code)), be32(v.ID)...)}}
		if v.Mark != nil {
			attrs = append(attrs, netlink.Attribute{Type: nfqaMark, Data: be32(*v.Mark)})
		}
		if v.Payload != nil {
			if len(v.Payload) > 0xffff-4 {
				return fmt.Errorf("queue %d: verdict for packet %d: payload of %d bytes does not fit an attribute", q.num, v.ID, len(v.Payload))
			}
			attrs = append(attrs, netlink.Attribute{Type: nfqaPayload, Data: v.Payload})
		}
		data, err := netlink.MarshalAttributes(attrs)
		if err != nil {
			return fmt.Errorf("queue %d: verdict for packet %d: %w", q.num, v.ID, err)
		}
		if size+len(data) > maxSend {
			if err := flush(); err != nil {
				return err
			}
		}
		// The packet's number is the message's sequence number, so that an error names the packet.
		batch = append(batch, netlink.Message{
			Header: netlink.Header{Type: queueType(nfqnlMsgVerdict), Flags: netlink.Request, Sequence: v.ID},
			Data:   append(q.nfgenmsg(), data...),
		})
		size += len(data) + 32
	}
	return flush()
}

// Stats reads the counters.
func (q *Queue) Stats() (QueueStats, error) {
	s := QueueStats{Missed: q.missed.Load(), NoBufs: q.noBufs.Load()}
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
func (q *Queue) Close() error {
	q.closeOnce.Do(func() {
		q.closed.Store(true)
		if err := q.conn.Close(); err != nil {
			q.closeErr = fmt.Errorf("queue %d: close: %w", q.num, err)
		}
		if q.proc != nil {
			_ = q.proc.Close()
		}
	})
	return q.closeErr
}

func queueType(msg uint16) netlink.HeaderType {
	return netlink.HeaderType(unix.NFNL_SUBSYS_QUEUE<<8 | msg)
}

// nfgenmsg: family, version, resource id (the queue number) in network order.
func (q *Queue) nfgenmsg() []byte {
	return []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, byte(q.num >> 8), byte(q.num)}
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
