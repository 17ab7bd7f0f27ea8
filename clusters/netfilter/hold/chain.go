package hold

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nftrule"
)

// Hook is a netfilter hook. Source: linux include/uapi/linux/netfilter.h (enum nf_inet_hooks).
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

// Match says which packets are caught. A packet must match every field that is set.
type Match struct {
	// Proto is the IP protocol number; 0 means any. Needed with ports.
	Proto uint8
	// SrcPort and DstPort as seen at the hook; 0 means any.
	SrcPort, DstPort uint16
	// New catches only packets of conntrack state new.
	New bool
	// More are further expressions of the rule, in front of the queue.
	More []expr.Any
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
	// ExceptMark, if not 0, lets packets with this mark pass: those that the hold injected.
	ExceptMark uint32
	// Untracked is set if those are not to be translated once more.
	Untracked bool
	// Queue is the number of the queue.
	Queue uint16
	// Via selects one way. Empty tries ViaNft, then ViaXt.
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

// InstallChain makes the table with its chain, rule and counter, all or nothing, in the network namespace of the calling thread. It finds
// out what the kernel supports by trying. If nobody listens on the queue, packets pass (bypass).
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
	case s.Via != "" && s.Via != ViaNft && s.Via != ViaXt:
		return fmt.Errorf("via %q must be %q or %q", s.Via, ViaNft, ViaXt)
	}
	return nil
}

func (c *Chain) install(via Via) error {
	t := &nftables.Table{Name: c.spec.Table, Family: nftables.TableFamilyIPv4}
	c.conn.CreateTable(t) // exclusive: an existing table is not ours
	chain := c.conn.AddChain(&nftables.Chain{
		Name: chainName, Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookRef(nftables.ChainHook(c.spec.Hook)), Priority: nftables.ChainPriorityRef(nftables.ChainPriority(c.spec.Priority)),
	})
	c.conn.AddObj(&nftables.NamedObj{Table: t, Name: counterName, Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
	exprs := c.spec.Match.exprs()
	if c.spec.ExceptMark != 0 {
		exprs = append(nftrule.Marked(expr.CmpOpNeq, c.spec.ExceptMark), exprs...)
	}
	c.conn.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(exprs,
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: counterName}, queueExpr(via, c.spec.Queue))})
	if slices.ContainsFunc(exprs, func(e expr.Any) bool { _, state := e.(*expr.Ct); return state }) {
		// A chain that no packet sees. Its rule keeps conntrack's hooks in the namespace when the rule above goes: were
		// that the last one to ask for conntrack, the kernel would take the hooks away and drop what is queued.
		keep := c.conn.AddChain(&nftables.Chain{Name: keepName, Table: t})
		c.conn.AddRule(&nftables.Rule{Table: t, Chain: keep, Exprs: nftrule.State(expr.CtStateBitNEW)})
	}
	if c.spec.Untracked {
		injected := c.conn.AddChain(&nftables.Chain{
			Name: "injected", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityRaw,
		})
		c.conn.AddRule(&nftables.Rule{Table: t, Chain: injected, Exprs: append(nftrule.Marked(expr.CmpOpEq, c.spec.ExceptMark), &expr.Notrack{})})
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

func (m Match) exprs() (es []expr.Any) {
	if m.Proto != 0 {
		es = append(es, nftrule.Protocol(m.Proto)...)
	}
	if m.SrcPort != 0 {
		es = append(es, nftrule.Ports(nftrule.Source, m.SrcPort, m.SrcPort)...)
	}
	if m.DstPort != 0 {
		es = append(es, nftrule.Ports(nftrule.Destination, m.DstPort, m.DstPort)...)
	}
	if m.New {
		es = append(es, nftrule.State(expr.CtStateBitNEW)...)
	}
	return append(es, m.More...)
}

// Via says which way is used.
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
	return c.hits, fmt.Errorf("table %q: it has no counter %q", c.spec.Table, counterName)
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
	if err := c.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) { // ENOENT: somebody else removed it
		return fmt.Errorf("table %q: removing the rule: %w", c.spec.Table, err)
	}
	const membarrierGlobal = 1
	// MEMBARRIER_CMD_GLOBAL is synchronize_rcu: it waits for all that runs in softirq now. Where it is refused
	// (nohz_full), the time that passes until the chain goes has to do.
	// Source: linux kernel/sched/membarrier.c.
	_, _, _ = unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0)
	return nil
}

// Remove deletes only the table. It is idempotent, and it is not an error if somebody else has deleted the table.
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
