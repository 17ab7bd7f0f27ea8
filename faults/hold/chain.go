package hold

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// Hook is a place in the packet's way. Source: linux include/uapi/linux/netfilter.h (enum nf_inet_hooks).
type Hook uint8

// The five hooks.
const (
	Prerouting  Hook = unix.NF_INET_PRE_ROUTING
	Input       Hook = unix.NF_INET_LOCAL_IN
	Forward     Hook = unix.NF_INET_FORWARD
	Output      Hook = unix.NF_INET_LOCAL_OUT
	Postrouting Hook = unix.NF_INET_POST_ROUTING
)

var hookNames = map[Hook]string{Prerouting: "prerouting", Input: "input", Forward: "forward", Output: "output", Postrouting: "postrouting"}

// String is the hook's name in nft.
func (h Hook) String() string {
	if n, ok := hookNames[h]; ok {
		return n
	}
	return fmt.Sprintf("hook %d", uint8(h))
}

// Mark is a packet mark and the bits of it that count; a zero Mask means none given.
type Mark struct {
	Value, Mask uint32
}

// Match says which packets are caught; everything that is set must hold.
type Match struct {
	// Proto is the IP protocol number; 0 means any. Needed with ports.
	Proto uint8
	// SrcPort and DstPort as seen at the hook; 0 means any.
	SrcPort, DstPort uint16
	// Src and Dst are IPv4 prefixes as seen at the hook; the zero value means any.
	Src, Dst netip.Prefix
	// New catches only packets of conntrack state new.
	New bool
	// Exclude lets packets with this mark pass: those that we injected ourselves.
	Exclude Mark
}

// Via is the way from the rule to the queue.
type Via string

const (
	// ViaNft is nft's own queue statement (CONFIG_NFT_QUEUE).
	ViaNft Via = "nft queue"
	// ViaXt is the xtables target NFQUEUE through nft_compat (CONFIG_NETFILTER_XT_TARGET_NFQUEUE, CONFIG_NFT_COMPAT).
	ViaXt Via = "xt NFQUEUE"
)

// ChainSpec describes the chain.
type ChainSpec struct {
	// Table is the name of the table (family ip) that is made and, later, deleted whole. It must not exist.
	Table string
	// Hook and Priority say where. Lower priorities come first: -200 conntrack, -100 DNAT, 0 filter, 100 SNAT,
	// 2147483647 conntrack confirm.
	Hook     Hook
	Priority int32
	Match    Match
	// Queue is the number of the queue.
	Queue uint16
	// Via asks for one way; empty tries ViaNft, then ViaXt.
	Via Via
}

const (
	chainName   = "hold"
	counterName = "matched"
	keepName    = "keep-conntrack"
)

// Chain is an installed chain.
type Chain struct {
	spec  ChainSpec
	via   Via
	mu    sync.Mutex
	conn  *nftables.Conn
	table *nftables.Table
	chain *nftables.Chain
	gone  bool
	hits  uint64
}

// InstallChain makes the table with its chain, rule and counter, all or nothing, in the network namespace of the calling
// thread. What the kernel can do is found out by trying. Without a listener on the queue packets pass (bypass).
func InstallChain(ctx context.Context, spec ChainSpec) (*Chain, error) {
	if err := spec.validate(); err != nil {
		return nil, fmt.Errorf("chain of table %q: %w", spec.Table, err)
	}
	conn, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("table %q: nftables socket: %w", spec.Table, err)
	}
	c := &Chain{spec: spec, conn: conn}
	ways := []Via{ViaNft, ViaXt}
	if spec.Via != "" {
		ways = []Via{spec.Via}
	}
	var errs []error
	for _, via := range ways {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		err := c.install(via)
		if err == nil {
			c.via = via
			return c, nil
		}
		errs = append(errs, fmt.Errorf("by %s: %w", via, err))
		if errors.Is(err, unix.EEXIST) {
			break
		}
	}
	return nil, errors.Join(fmt.Errorf("table %q: chain at %s priority %d: %w", spec.Table, spec.Hook, spec.Priority, errors.Join(errs...)), conn.CloseLasting())
}

func (s ChainSpec) validate() error {
	m := s.Match
	switch {
	case s.Table == "":
		return errors.New("no table name")
	case hookNames[s.Hook] == "":
		return fmt.Errorf("unknown hook %d", s.Hook)
	case (m.SrcPort != 0 || m.DstPort != 0) && m.Proto == 0:
		return errors.New("match: ports need a protocol")
	case m.Src.IsValid() && !m.Src.Addr().Is4(), m.Dst.IsValid() && !m.Dst.Addr().Is4():
		return errors.New("match: only IPv4 prefixes")
	case s.Via != "" && s.Via != ViaNft && s.Via != ViaXt:
		return fmt.Errorf("via %q is neither %q nor %q", s.Via, ViaNft, ViaXt)
	}
	return nil
}

func (c *Chain) install(via Via) error {
	t := &nftables.Table{Name: c.spec.Table, Family: nftables.TableFamilyIPv4}
	c.conn.CreateTable(t) // exclusive: what is there already is not ours
	chain := c.conn.AddChain(&nftables.Chain{
		Name: chainName, Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookRef(nftables.ChainHook(c.spec.Hook)), Priority: nftables.ChainPriorityRef(nftables.ChainPriority(c.spec.Priority)),
	})
	c.conn.AddObj(&nftables.NamedObj{Table: t, Name: counterName, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	c.conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(c.spec.Match.exprs(),
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counterName}, queueExpr(via, c.spec.Queue))})
	if c.spec.Match.New {
		// A chain that no packet sees. Its rule keeps conntrack's hooks in the namespace when the rule above goes: were
		// that the last one to ask for conntrack, the kernel would take the hooks away and drop what is queued.
		keep := c.conn.AddChain(&nftables.Chain{Name: keepName, Table: t})
		c.conn.AddRule(&nftables.Rule{Table: t, Chain: keep, Exprs: Match{New: true}.exprs()})
	}
	if err := c.conn.Flush(); err != nil {
		return err
	}
	c.table, c.chain = t, chain
	return nil
}

// queueExpr has the bypass flag in both ways.
// Source: linux include/uapi/linux/netfilter/xt_NFQUEUE.h (struct xt_NFQ_info_v3), padded to 8 bytes as XT_ALIGN does.
func queueExpr(via Via, num uint16) expr.Any {
	if via == ViaNft {
		return &expr.Queue{Num: num, Total: 1, Flag: expr.QueueFlagBypass}
	}
	const nfqFlagBypass = 1
	info := make(xt.Unknown, 8)
	binary.NativeEndian.PutUint16(info[0:], num)
	binary.NativeEndian.PutUint16(info[2:], 1)
	binary.NativeEndian.PutUint16(info[4:], nfqFlagBypass)
	return &expr.Target{Name: "NFQUEUE", Rev: 3, Info: &info}
}

func (m Match) exprs() []expr.Any {
	var es []expr.Any
	equal := func(b []byte) { es = append(es, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: b}) }
	field := func(base expr.PayloadBase, offset, length uint32) {
		es = append(es, &expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: length})
	}
	mask := func(b []byte) {
		es = append(es, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: uint32(len(b)), Mask: b, Xor: make([]byte, len(b))})
	}
	for _, p := range []struct {
		offset uint32
		prefix netip.Prefix
	}{{12, m.Src}, {16, m.Dst}} {
		if !p.prefix.IsValid() {
			continue
		}
		field(expr.PayloadBaseNetworkHeader, p.offset, 4)
		mask(be32(^uint32(0) << (32 - p.prefix.Bits())))
		equal(p.prefix.Masked().Addr().AsSlice())
	}
	if m.Proto != 0 {
		es = append(es, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1})
		equal([]byte{m.Proto})
	}
	for _, p := range []struct {
		offset uint32
		port   uint16
	}{{0, m.SrcPort}, {2, m.DstPort}} {
		if p.port != 0 {
			field(expr.PayloadBaseTransportHeader, p.offset, 2)
			equal(binaryutil.BigEndian.PutUint16(p.port))
		}
	}
	if m.Exclude.Mask != 0 {
		es = append(es, &expr.Meta{Key: expr.MetaKeyMARK, Register: 1})
		mask(binaryutil.NativeEndian.PutUint32(m.Exclude.Mask))
		es = append(es, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(m.Exclude.Value & m.Exclude.Mask)})
	}
	if m.New {
		es = append(es, &expr.Ct{Key: expr.CtKeySTATE, Register: 1})
		mask(binaryutil.NativeEndian.PutUint32(expr.CtStateBitNEW))
		es = append(es, &expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)})
	}
	return es
}

// Via says which way was taken.
func (c *Chain) Via() Via { return c.via }

// Hits is the number of packets that the rule caught; after Remove, the last reading.
func (c *Chain) Hits(ctx context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return c.hits, nil
	}
	if err := ctx.Err(); err != nil {
		return c.hits, fmt.Errorf("table %q: reading its counter: %w", c.spec.Table, err)
	}
	return c.readHits()
}

func (c *Chain) readHits() (uint64, error) {
	objs, err := c.conn.GetNamedObjects(c.table)
	if err != nil {
		return c.hits, fmt.Errorf("table %q: reading its counter: %w", c.spec.Table, err)
	}
	for _, o := range objs {
		if n, ok := o.(*nftables.NamedObj); ok && n.Name == counterName {
			if counter, ok := n.Obj.(*expr.Counter); ok {
				c.hits = counter.Packets
				return c.hits, nil
			}
		}
	}
	return c.hits, fmt.Errorf("table %q: its counter %q is not there", c.spec.Table, counterName)
}

// Quiesce removes the rule and leaves the hook: no packet is queued any more, and none that is queued is dropped (the
// kernel drops those when a hook goes). When it returns, packets that were on their way through the rule have passed it.
func (c *Chain) Quiesce() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	c.conn.FlushChain(c.chain)
	if err := c.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) { // somebody else did it
		return fmt.Errorf("table %q: removing the rule: %w", c.spec.Table, err)
	}
	const membarrierGlobal = 1
	// MEMBARRIER_CMD_GLOBAL is synchronize_rcu: it waits for all that runs in softirq now. Where it is refused
	// (nohz_full), the time that passes until the chain goes has to do.
	// Source: linux kernel/sched/membarrier.c.
	_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
	return nil
}

// Remove deletes the table, and nothing else. Idempotent; a table that somebody else deleted is no error.
func (c *Chain) Remove() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return nil
	}
	_, hitsErr := c.readHits()
	c.conn.DelTable(c.table)
	err := c.conn.Flush()
	if errors.Is(err, unix.ENOENT) {
		err, hitsErr = nil, nil
	}
	if err != nil {
		return fmt.Errorf("table %q: delete: %w", c.spec.Table, err)
	}
	c.gone = true
	return errors.Join(hitsErr, c.conn.CloseLasting())
}

// RemoveTable deletes a table that a process which died has left behind, in the network namespace of the calling thread.
// A table that is not there is no error.
func RemoveTable(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("table %q: delete: %w", name, err)
	}
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("table %q: nftables socket: %w", name, err)
	}
	conn.DelTable(&nftables.Table{Name: name, Family: nftables.TableFamilyIPv4})
	if err := conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("table %q: delete: %w", name, err)
	}
	return nil
}
