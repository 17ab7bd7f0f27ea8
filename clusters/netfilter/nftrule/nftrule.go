// Package nftrule has the matches that rules for IPv4 packets are put together from, each as nft writes it. It is pure.
package nftrule

import (
	"math"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Side is one end of a packet.
type Side int

// The two ends.
const (
	Source Side = iota
	Destination
)

// Protocol is meta l4proto NUMBER.
func Protocol(number byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{number}},
	}
}

// Ports is th sport or th dport with a port, or with a range of ports; the protocol must have been matched before.
func Ports(side Side, from, to uint16) []expr.Any {
	low, high := binaryutil.BigEndian.PutUint16(from), binaryutil.BigEndian.PutUint16(to)
	port := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: uint32(side) * 2, Len: 2}
	if from == to {
		return []expr.Any{port, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: low}}
	}
	return []expr.Any{port, &expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: low, ToData: high}}
}

// Address is ip saddr or ip daddr, compared with a prefix.
func Address(side Side, op expr.CmpOp, prefix netip.Prefix) []expr.Any {
	const source = 12 // offset in the IPv4 header
	exprs := []expr.Any{&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: source + uint32(side)*4, Len: 4}}
	if prefix.Bits() < 32 {
		mask := binaryutil.BigEndian.PutUint32(^uint32(0) << (32 - prefix.Bits()))
		exprs = append(exprs, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)})
	}
	return append(exprs, &expr.Cmp{Op: op, Register: 1, Data: prefix.Masked().Addr().AsSlice()})
}

// Leaving is what comes from a network and goes elsewhere: ip saddr PREFIX ip daddr != PREFIX.
func Leaving(prefix netip.Prefix) []expr.Any {
	return append(Address(Source, expr.CmpOpEq, prefix), Address(Destination, expr.CmpOpNeq, prefix)...)
}

// State is ct state with any of some states, such as expr.CtStateBitINVALID.
func State(bits uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bits), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// Marked is meta mark, compared with a mark.
func Marked(op expr.CmpOp, mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: op, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
	}
}

// Mark is meta mark set mark | BIT.
func Mark(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{
			SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^bit), Xor: binaryutil.NativeEndian.PutUint32(bit),
		},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	}
}

// WithoutMark is meta mark & BIT == 0.
func WithoutMark(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bit), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: make([]byte, 4)},
	}
}

// Flags is tcp flags FLAGS / MASK: of the flags in mask, exactly these are set. The protocol must have been matched before.
func Flags(flags, mask byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{flags}},
	}
}

// ICMP is icmp type TYPE, and icmp code CODE if there is one. The protocol must have been matched before.
func ICMP(typeAndCode ...byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Len: uint32(len(typeAndCode))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: typeAndCode},
	}
}

// Share is numgen random mod 10000 < SHARE * 10000: so many of all packets, by chance.
func Share(share float64) []expr.Any {
	const of = 10000
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: of, Type: unix.NFT_NG_RANDOM},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(uint32(math.Round(share * of)))},
	}
}

// MaxSegment is tcp option maxseg size set SIZE, or rt mtu if size is 0: it only makes the value smaller. The protocol must have been
// matched before.
func MaxSegment(size uint16) []expr.Any {
	const kindMSS, offset = 2, 2
	write := &expr.Exthdr{SourceRegister: 1, Op: expr.ExthdrOpTcpopt, Type: kindMSS, Offset: offset, Len: 2}
	if size > 0 {
		return []expr.Any{&expr.Immediate{Register: 1, Data: binaryutil.BigEndian.PutUint16(size)}, write}
	}
	return []expr.Any{
		&expr.Rt{Register: 1, Key: expr.RtTCPMSS},
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 2, Size: 2}, write,
	}
}
