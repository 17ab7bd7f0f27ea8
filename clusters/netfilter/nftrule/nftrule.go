// Package nftrule has the matches that rules for IPv4 packets are put together from, each as nft writes it. It is pure.
package nftrule

import (
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
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

// NotMarked is meta mark != MARK.
func NotMarked(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
	}
}
