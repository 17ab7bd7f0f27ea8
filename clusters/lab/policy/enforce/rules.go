package enforce

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Group is the NFLOG group of a node to which packets are logged before they are dropped. Without a listener the kernel does
// nothing there.
const Group = 100

// snapLength is enough for the headers of IPv4 and its options, and of TCP.
const snapLength = 128

// chainName is how a person finds a pod's rules in nft list ruleset.
func (i Isolated) chainName() string { return i.Direction + "-" + i.Namespace + "/" + i.Pod }

// jump leads a pod's packets of the direction to its chain: ip saddr 10.244.1.2 jump egress-default/client.
func (i Isolated) jump() ([]expr.Any, error) {
	ip, err := netip.ParseAddr(i.IP)
	if err != nil {
		return nil, err
	}
	own, _ := i.offsets()
	return append(address(own, netip.PrefixFrom(ip, ip.BitLen()), expr.CmpOpEq), &expr.Verdict{Kind: expr.VerdictJump, Chain: i.chainName()}), nil
}

// offsets in the IPv4 header: that of the pod's own address, and that of its peer's.
func (i Isolated) offsets() (own, peer uint32) {
	const source, destination = 12, 16
	if i.Direction == Egress {
		return source, destination
	}
	return destination, source
}

// rules of the pod's chain. What is allowed returns, because the pod at the other end may be isolated as well.
func (i Isolated) rules(prefix string) ([][]expr.Any, error) {
	_, peer := i.offsets()
	back := &expr.Verdict{Kind: expr.VerdictReturn}
	// A pod cannot be kept from itself. Source: Kubernetes documentation, Network Policies, "The two sorts of pod isolation".
	itself, err := Allow{CIDR: i.IP + "/32"}.match(peer)
	if err != nil {
		return nil, err
	}
	rules := [][]expr.Any{append(itself, back)}
	for _, allow := range i.Allow {
		match, err := allow.match(peer)
		if err != nil {
			return nil, err
		}
		rules = append(rules, append(match, back))
	}
	// No rate limit: it would lose the first packet of one flow in the flood of another. Repeats are left out by who listens.
	return append(rules, []expr.Any{
		&expr.Objref{Type: unix.NFT_OBJECT_COUNTER, Name: i.Direction},
		&expr.Log{
			Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX | 1<<unix.NFTA_LOG_SNAPLEN,
			Group: Group, Snaplen: snapLength, Data: []byte(prefix),
		},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}), nil
}

func (a Allow) match(peer uint32) ([]expr.Any, error) {
	var exprs []expr.Any
	for n, cidr := range append([]string{a.CIDR}, a.Except...) {
		if cidr == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return nil, err
		}
		op := expr.CmpOpEq
		if n > 0 {
			op = expr.CmpOpNeq
		}
		exprs = append(exprs, address(peer, prefix, op)...)
	}
	if a.Protocol == "" {
		return exprs, nil
	}
	number, ok := map[string]byte{"TCP": unix.IPPROTO_TCP, "UDP": unix.IPPROTO_UDP}[a.Protocol]
	if !ok {
		return nil, fmt.Errorf("protocol %q is neither TCP nor UDP", a.Protocol)
	}
	exprs = append(exprs, &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}})
	if a.From == 0 {
		return exprs, nil
	}
	from, to := binaryutil.BigEndian.PutUint16(a.From), binaryutil.BigEndian.PutUint16(a.To)
	exprs = append(exprs, &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2})
	if a.From == a.To {
		return append(exprs, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: from}), nil
	}
	return append(exprs, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: from, ToData: to}), nil
}

// address compares an address of the IPv4 header with a prefix.
func address(offset uint32, prefix netip.Prefix, op expr.CmpOp) []expr.Any {
	exprs := []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4}}
	if prefix.Bits() < 32 {
		mask := binaryutil.BigEndian.PutUint32(uint32(uint64(0xffffffff) << (32 - prefix.Bits())))
		exprs = append(exprs, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)})
	}
	return append(exprs, &expr.Cmp{Op: op, Register: 1, Data: prefix.Masked().Addr().AsSlice()})
}

// established matches packets of connections that were let through before, answers, and the errors about them.
func established() []expr.Any {
	bits := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

// key tells apart what log prefixes stand for.
func (i Isolated) key() string {
	return fmt.Sprint(i.chainName(), slices.Sorted(slices.Values(i.Policies)))
}
