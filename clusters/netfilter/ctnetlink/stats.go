package ctnetlink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nfnl"
)

// Key names one of conntrack's counters, as `conntrack -S` prints it.
type Key string

// The counters of one network namespace that the kernel still keeps.
const (
	Found         Key = "found"
	Invalid       Key = "invalid"
	Insert        Key = "insert"
	InsertFailed  Key = "insert_failed"
	Dropped       Key = "drop"
	EarlyDrop     Key = "early_drop"
	Error         Key = "error"
	SearchRestart Key = "search_restart"
	ClashResolve  Key = "clash_resolve" // since 5.10
	ChainTooLong  Key = "chaintoolong"  // since 5.15
)

// Source: linux include/uapi/linux/netfilter/nfnetlink_conntrack.h (enum ctattr_stats_cpu).
var statKeys = map[uint16]Key{
	2: Found, 4: Invalid, 8: Insert, 9: InsertFailed, 10: Dropped, 11: EarlyDrop, 12: Error, 13: SearchRestart, 14: ClashResolve, 15: ChainTooLong,
}

// Stats are the counters of one network namespace, summed over CPUs, since the namespace was made. A key that the kernel
// does not have is not in the map.
type Stats map[Key]uint64

// Stats reads the counters (IPCTNL_MSG_CT_GET_STATS_CPU).
func (c *Conn) Stats(ctx context.Context) (Stats, error) {
	msgs, err := c.execute(ctx, message(msgGetStatsCPU, netlink.Dump, nil))
	if err != nil {
		return nil, fmt.Errorf("conntrack: counters: %w", err)
	}
	s := Stats{}
	for _, m := range msgs {
		err := each32(m, func(kind uint16, v uint32) {
			if k, ok := statKeys[kind]; ok {
				s[k] += uint64(v)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("conntrack: counters: %w", err)
		}
	}
	return s, nil
}

// Count is the number of entries in this namespace.
func (c *Conn) Count(ctx context.Context) (int, error) {
	count, _, err := c.global(ctx)
	return count, err
}

// Max is the limit that applies to this namespace (nf_conntrack_max, the host's).
func (c *Conn) Max(ctx context.Context) (int, error) {
	_, limit, err := c.global(ctx)
	return limit, err
}

// global asks IPCTNL_MSG_CT_GET_STATS: entries (1) and, since 4.18, the limit (2).
func (c *Conn) global(ctx context.Context) (count, limit int, err error) {
	answer, err := c.single(ctx, message(msgGetStats, 0, nil))
	if err != nil {
		return 0, 0, fmt.Errorf("conntrack: count: %w", err)
	}
	seen := 0
	err = each32(answer, func(kind uint16, v uint32) {
		switch kind {
		case 1:
			count, seen = int(v), seen|1
		case 2:
			limit, seen = int(v), seen|2
		}
	})
	if err != nil {
		return 0, 0, fmt.Errorf("conntrack: count: %w", err)
	}
	if seen != 3 {
		return count, limit, errors.New("conntrack: count: the kernel's answer lacks the count or the limit")
	}
	return count, limit, nil
}

func (c *Conn) execute(ctx context.Context, m netlink.Message) ([]netlink.Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer nfnl.Bound(ctx, c.nl)()
	msgs, err := c.nl.Execute(m)
	if err != nil {
		return nil, cause(ctx, err)
	}
	return msgs, nil
}

// single sends one request and reads one answer on the bare socket: the kernel flags this one as part of several
// (NLM_F_MULTI) and never sends the end of them, for which the netlink library would wait.
// Source: linux net/netfilter/nf_conntrack_netlink.c (ctnetlink_stat_ct_fill).
func (c *Conn) single(ctx context.Context, m netlink.Message) (answer netlink.Message, err error) {
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	defer nfnl.Bound(ctx, c.nl)()
	if _, err := c.nl.Send(m); err != nil {
		return answer, cause(ctx, err)
	}
	raw, err := c.nl.SyscallConn()
	if err != nil {
		return answer, err
	}
	buf := make([]byte, 4096)
	var n int
	var got error
	err = raw.Read(func(fd uintptr) bool {
		n, _, got = unix.Recvfrom(int(fd), buf, 0)
		return !errors.Is(got, unix.EAGAIN) && !errors.Is(got, unix.EINTR)
	})
	if err := errors.Join(err, got); err != nil {
		return answer, cause(ctx, err)
	}
	if err := answer.UnmarshalBinary(buf[:n&^3]); err != nil {
		return answer, fmt.Errorf("answer of %d bytes: %w", n, err)
	}
	if answer.Header.Type == netlink.Error && len(answer.Data) >= 4 {
		return answer, unix.Errno(-int32(binary.NativeEndian.Uint32(answer.Data)))
	}
	return answer, nil
}

func each32(m netlink.Message, f func(kind uint16, v uint32)) error {
	ad, err := nfnl.Attributes(m)
	if err != nil {
		return err
	}
	for ad.Next() {
		if b := ad.Bytes(); len(b) == 4 {
			f(ad.Type(), binary.BigEndian.Uint32(b))
		}
	}
	return ad.Err()
}
