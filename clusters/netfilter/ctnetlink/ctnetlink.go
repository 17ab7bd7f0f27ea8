// Package ctnetlink makes, lists and removes conntrack entries of IPv4 and reads conntrack's counters over netlink, in one
// network namespace.
//
// It exists beside vishvananda/netlink because that library cannot set an entry's status (an entry without ASSURED is
// thrown out early when the table is full), sends one entry for each round trip, filters deletions in user space only,
// and has no counters.
//
// Source of all numbers: linux include/uapi/linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_common.h.
package ctnetlink

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nfnl"
)

// Status is the set of an entry's IPS_ bits.
type Status uint32

// Status bits that make sense in an entry made by hand. Confirmed is always added: the kernel answers EBUSY without it.
// Source: linux net/netfilter/nf_conntrack_netlink.c (ctnetlink_create_conntrack, ctnetlink_change_status).
const (
	SeenReply Status = 1 << 1
	// Assured entries are not thrown out when the table is full (early_drop).
	Assured   Status = 1 << 2
	Confirmed Status = 1 << 3
	// Established is what a flow has that saw packets both ways.
	Established = SeenReply | Assured | Confirmed
)

// TCP states. Source: linux include/uapi/linux/netfilter/nf_conntrack_tcp.h (enum tcp_conntrack).
const (
	TCPSynSent     uint8 = 1
	TCPEstablished uint8 = 3
)

// Tuple is one direction of a flow.
type Tuple struct {
	Src, Dst netip.AddrPort
}

// Inverse swaps source and destination: the reply tuple of a flow without NAT.
func (t Tuple) Inverse() Tuple { return Tuple{t.Dst, t.Src} }

// Entry is one conntrack entry of an IPv4 flow.
type Entry struct {
	// Proto is 17 for UDP, 6 for TCP.
	Proto uint8
	Orig  Tuple
	// Reply is what answers look like; the zero value means the inverse of Orig (no NAT).
	Reply Tuple
	// Timeout is how long the entry lives, in whole seconds, rounded up.
	Timeout time.Duration
	Status  Status
	Mark    uint32
	// NATDone marks the entry as one that NAT has dealt with, as every packet of a namespace with NAT rules does, without
	// changing its tuples. Where the source quoted below holds, a packet that clashes with an entry without these bits may
	// be let through on that entry (clash_resolve) instead of being dropped; 6.18 was measured to drop it either way.
	// IPS_SRC_NAT_DONE and IPS_DST_NAT_DONE cannot be set by Status: an empty CTA_NAT_DST makes the kernel set them.
	// List shows them in Status.
	// Source: linux net/netfilter/nf_conntrack_core.c (__nf_ct_resolve_clash), nf_conntrack_netlink.c (ctnetlink_setup_nat).
	NATDone bool
	// DNAT and SNAT, if given, are what the kernel makes of the destination and the source, as a NAT rule would have had it do.
	// Reply then follows from them and is left out.
	DNAT, SNAT netip.AddrPort
	// TCPState is one of the TCP states; only for TCP.
	TCPState uint8
}

// Again is what to create for a listed entry to be there again, with its NAT.
func (e Entry) Again() Entry {
	if e.Reply.Src != e.Orig.Dst {
		e.DNAT = e.Reply.Src
	}
	if e.Reply.Dst != e.Orig.Src {
		e.SNAT = e.Reply.Dst
	}
	e.NATDone = !e.DNAT.IsValid() && !e.SNAT.IsValid() // a packet that met no NAT rule leaves these bits too
	e.Reply = Tuple{}
	e.Status &= Established
	return e
}

// String is "udp 10.0.0.1:1 > 10.0.0.2:2, reply 10.0.0.2:2 > 10.0.0.1:1".
func (e Entry) String() string {
	return fmt.Sprintf("proto %d %s > %s, reply %s > %s", e.Proto, e.Orig.Src, e.Orig.Dst, e.Reply.Src, e.Reply.Dst)
}

const (
	msgNew         = 0
	msgGet         = 1
	msgDelete      = 2
	msgGetStatsCPU = 4
	msgGetStats    = 5

	attrTupleOrig  = 1
	attrTupleReply = 2
	attrStatus     = 3
	attrProtoInfo  = 4
	attrNATSrc     = 6
	attrTimeout    = 7
	attrMark       = 8
	attrID         = 12
	attrNATDst     = 13
	attrMarkMask   = 21
	attrFilter     = 25

	// Which parts of attrTupleOrig must match. Source: linux net/netfilter/nf_internals.h.
	filterOrig           = 1
	filterProto   uint32 = 1 << 3
	filterDstPort uint32 = 1 << 5

	natV4Min = 1
	natV4Max = 2
	natProto = 3
	portMin  = 1
	portMax  = 2

	tupleIP    = 1
	tupleProto = 2
	ipV4Src    = 1
	ipV4Dst    = 2
	protoNum   = 1
	protoSport = 2
	protoDport = 3
	infoTCP    = 1
	tcpState   = 1

	// perSend keeps a batch well below the send buffer, and its errors, one datagram each, below the receive buffer
	// (212992 bytes by default).
	perSend = 128
)

// Conn is a socket in the network namespace of the thread that called Open. One goroutine at a time.
type Conn struct {
	nl *netlink.Conn
}

// Open opens the socket.
func Open() (*Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("conntrack: netlink socket: %w", err)
	}
	// Errors come back without a copy of the request: smaller, and optional.
	_ = nl.SetOption(netlink.CapAcknowledge, true)
	return &Conn{nl}, nil
}

// Close closes the socket.
func (c *Conn) Close() error {
	if err := c.nl.Close(); err != nil {
		return fmt.Errorf("conntrack: close: %w", err)
	}
	return nil
}

// Create makes one entry. An entry whose tuple is taken in either direction gives EEXIST.
func (c *Conn) Create(ctx context.Context, e Entry) error {
	r, err := c.Fill(ctx, 1, func(int) Entry { return e })
	if err == nil && r.Existed == 1 {
		err = fmt.Errorf("conntrack: create %s: %w", e, unix.EEXIST)
	}
	return err
}

// Filled says what became of a batch.
type Filled struct {
	// Made entries are new, Existed were there already (EEXIST), Failed were refused for another reason.
	Made, Existed, Failed int
}

// Fill makes n entries, entry(0) to entry(n-1), many in one system call. Existing entries are skipped and counted. It stops
// after the first batch with another error (ENOMEM means that the table is full) and returns what was done until then.
func (c *Conn) Fill(ctx context.Context, n int, entry func(i int) Entry) (Filled, error) {
	var r Filled
	for at := 0; at < n; at += perSend {
		count := min(perSend, n-at)
		reqs := make([]netlink.Message, count)
		for i := range reqs {
			e := entry(at + i)
			data, err := e.marshal()
			if err != nil {
				return r, fmt.Errorf("conntrack: create %s: %w", e, err)
			}
			reqs[i] = message(msgNew, netlink.Create|netlink.Excl, data)
		}
		refused, err := c.batch(ctx, reqs)
		if err != nil {
			return r, fmt.Errorf("conntrack: create entries %d to %d: %w", at, at+count-1, err)
		}
		var first error
		for _, f := range refused {
			if errors.Is(f.err, unix.EEXIST) {
				r.Existed++
				continue
			}
			r.Failed++
			if first == nil {
				first = fmt.Errorf("conntrack: create %s (after %d made, %d existing): %w", entry(at+f.index), r.Made, r.Existed, f.err)
			}
		}
		r.Made += count - len(refused)
		if first != nil {
			return r, first
		}
	}
	return r, nil
}

// DeleteByMark deletes all entries with entry.mark & mask == mark & mask; the kernel does the filtering. A zero mask would
// delete everything and is refused. On a kernel without CONFIG_NF_CONNTRACK_MARK the filter would mean nothing, so
// such a kernel would delete everything: no distribution builds one, and entries made with a mark show it in List.
// Source: linux net/netfilter/nf_conntrack_netlink.c (ctnetlink_flush_conntrack, ctnetlink_filter_match).
func (c *Conn) DeleteByMark(ctx context.Context, mark, mask uint32) error {
	if mask == 0 {
		return errors.New("conntrack: delete by mark: a zero mask would delete every entry")
	}
	data, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: attrMark, Data: nfnl.BE32(mark & mask)}, {Type: attrMarkMask, Data: nfnl.BE32(mask)},
	})
	if err != nil {
		return fmt.Errorf("conntrack: delete by mark %#x/%#x: %w", mark, mask, err)
	}
	refused, err := c.batch(ctx, []netlink.Message{nfnl.Message(unix.NFNL_SUBSYS_CTNETLINK, msgDelete, 0, unix.AF_UNSPEC, 0, data)})
	if err == nil && len(refused) > 0 {
		err = refused[0].err
	}
	if err != nil {
		return fmt.Errorf("conntrack: delete by mark %#x/%#x: %w", mark, mask, err)
	}
	return nil
}

// Filter selects entries; zero fields mean any.
type Filter struct {
	Proto uint8
	// DstPort, Src and Dst are of the original direction.
	DstPort  uint16
	Src, Dst netip.Prefix
}

// Match says whether an entry is selected.
func (f Filter) Match(e Entry) bool {
	return (f.Proto == 0 || f.Proto == e.Proto) && (f.DstPort == 0 || f.DstPort == e.Orig.Dst.Port()) &&
		(!f.Src.IsValid() || f.Src.Contains(e.Orig.Src.Addr())) && (!f.Dst.IsValid() || f.Dst.Contains(e.Orig.Dst.Addr()))
}

// List dumps the entries that the filter selects.
func (c *Conn) List(ctx context.Context, f Filter) ([]Entry, error) {
	found, err := c.dump(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("conntrack: list: %w", err)
	}
	entries := make([]Entry, len(found))
	for i, x := range found {
		entries[i] = x.Entry
	}
	return entries, nil
}

// DeleteWhere dumps, and deletes each entry that the filter selects by its tuple and identity, many in one system call (the
// kernel refuses CTA_FILTER for deletions with EOPNOTSUPP). Entries that are gone meanwhile are no error. It returns how
// many were deleted. The zero filter is refused.
func (c *Conn) DeleteWhere(ctx context.Context, f Filter) (int, error) {
	deleted, err := c.TakeWhere(ctx, f)
	return len(deleted), err
}

// TakeWhere is DeleteWhere, and returns what was deleted.
func (c *Conn) TakeWhere(ctx context.Context, f Filter) ([]Entry, error) {
	if f == (Filter{}) {
		return nil, errors.New("conntrack: delete: an empty filter would delete every entry")
	}
	found, err := c.dump(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("conntrack: delete: list: %w", err)
	}
	var deleted []Entry
	for len(found) > 0 {
		part := found[:min(perSend, len(found))]
		found = found[len(part):]
		reqs := make([]netlink.Message, len(part))
		for i, x := range part {
			reqs[i] = message(msgDelete, 0, x.key)
		}
		refused, err := c.batch(ctx, reqs)
		if err != nil {
			return deleted, fmt.Errorf("conntrack: delete: %w", err)
		}
		kept := map[int]bool{}
		for _, r := range refused {
			if !errors.Is(r.err, unix.ENOENT) {
				return deleted, fmt.Errorf("conntrack: delete %s: %w", part[r.index].Entry, r.err)
			}
			kept[r.index] = true
		}
		for i, x := range part {
			if !kept[i] {
				deleted = append(deleted, x.Entry)
			}
		}
	}
	return deleted, nil
}

type listed struct {
	Entry
	key []byte // a delete request for exactly this entry
}

func (c *Conn) dump(ctx context.Context, f Filter) ([]listed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer nfnl.Bound(ctx, c.nl)()
	// One send and an iteration instead of Execute: a table may have 100,000s of entries.
	if _, err := c.nl.Send(message(msgGet, netlink.Dump, f.marshal())); err != nil {
		return nil, cause(ctx, err)
	}
	var found []listed
	for m, err := range c.nl.ReceiveIter() {
		if err != nil {
			return nil, cause(ctx, err)
		}
		e, key, err := unmarshal(m)
		if err != nil {
			return nil, err
		}
		if f.Match(e) {
			found = append(found, listed{e, key})
		}
	}
	return found, nil
}

type refusal struct {
	index int
	err   error
}

// batch sends requests in one system call. The kernel works on them within it and answers only those that fail; an empty
// request behind them asks for an acknowledgement that says that all answers are there.
// Source: linux net/netlink/af_netlink.c (netlink_rcv_skb).
func (c *Conn) batch(ctx context.Context, reqs []netlink.Message) ([]refusal, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer nfnl.Bound(ctx, c.nl)()
	const firstSeq = 1
	for i := range reqs {
		reqs[i].Header.Sequence = uint32(firstSeq + i)
	}
	msgs := slices.Concat(reqs, []netlink.Message{{Header: netlink.Header{
		Type: netlink.Noop, Flags: netlink.Request | netlink.Acknowledge, Sequence: uint32(firstSeq + len(reqs)),
	}}})
	if _, err := c.nl.SendMessages(msgs); err != nil {
		return nil, cause(ctx, err)
	}
	var refused []refusal
	for {
		answers, err := c.nl.Receive()
		var op *netlink.OpError
		switch {
		case errors.As(err, &op) && op.Sequence >= firstSeq && int(op.Sequence) < firstSeq+len(reqs):
			refused = append(refused, refusal{int(op.Sequence) - firstSeq, op.Err})
		case err != nil:
			return nil, cause(ctx, err)
		default:
			for _, a := range answers {
				if a.Header.Type == netlink.Error && a.Header.Sequence == uint32(firstSeq+len(reqs)) {
					return refused, nil
				}
			}
		}
	}
}

func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// message is a request about entries of IPv4.
func message(msg uint16, flags netlink.HeaderFlags, attributes []byte) netlink.Message {
	return nfnl.Message(unix.NFNL_SUBSYS_CTNETLINK, msg, flags, unix.AF_INET, 0, attributes)
}
