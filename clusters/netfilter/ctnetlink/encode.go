package ctnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/relapse-k8s/relapse/clusters/netfilter/nfnl"
)

func (e Entry) marshal() ([]byte, error) {
	if e.Reply == (Tuple{}) {
		e.Reply = e.Orig.Inverse()
	}
	for _, a := range []netip.AddrPort{e.Orig.Src, e.Orig.Dst, e.Reply.Src, e.Reply.Dst} {
		if !a.Addr().Is4() {
			return nil, errors.New("its addresses are not all set and of IPv4")
		}
	}
	seconds := (e.Timeout + time.Second - 1) / time.Second
	if seconds <= 0 {
		return nil, fmt.Errorf("its timeout is %s", e.Timeout)
	}
	b := make([]byte, 0, 256)
	b = e.Orig.append(b, attrTupleOrig, e.Proto)
	b = e.Reply.append(b, attrTupleReply, e.Proto)
	b = attr(b, attrStatus, nfnl.BE32(uint32(e.Status|Confirmed)))
	b = attr(b, attrTimeout, nfnl.BE32(uint32(seconds)))
	if e.Mark != 0 {
		b = attr(b, attrMark, nfnl.BE32(e.Mark))
	}
	switch {
	case e.DNAT.IsValid():
		b = translation(b, attrNATDst, e.DNAT)
	case e.NATDone:
		b = attr(b, attrNATDst|unix.NLA_F_NESTED, nil)
	}
	if e.SNAT.IsValid() {
		b = translation(b, attrNATSrc, e.SNAT)
	}
	if e.Proto == unix.IPPROTO_TCP {
		b = nest(b, attrProtoInfo, func(b []byte) []byte {
			return nest(b, infoTCP, func(b []byte) []byte { return attr(b, tcpState, []byte{e.TCPState}) })
		})
	}
	return b, nil
}

func (t Tuple) append(b []byte, kind uint16, proto uint8) []byte {
	return nest(b, kind, func(b []byte) []byte {
		b = nest(b, tupleIP, func(b []byte) []byte {
			return attr(attr(b, ipV4Src, t.Src.Addr().AsSlice()), ipV4Dst, t.Dst.Addr().AsSlice())
		})
		return nest(b, tupleProto, func(b []byte) []byte {
			b = attr(b, protoNum, []byte{proto})
			b = attr(b, protoSport, binary.BigEndian.AppendUint16(nil, t.Src.Port()))
			return attr(b, protoDport, binary.BigEndian.AppendUint16(nil, t.Dst.Port()))
		})
	})
}

// marshal asks the kernel for protocol and port, so that it does not send hundreds of thousands of other entries. Kernels before Linux 5.8
// ignore that and send all.
// Source: linux net/netfilter/nf_conntrack_netlink.c (ctnetlink_alloc_filter, ctnetlink_parse_tuple_filter).
func (f Filter) marshal() []byte {
	if f.Proto == 0 {
		return nil // a port without a protocol is refused
	}
	flags := filterProto
	b := nest(nil, attrTupleOrig, func(b []byte) []byte {
		return nest(b, tupleProto, func(b []byte) []byte {
			b = attr(b, protoNum, []byte{f.Proto})
			if f.DstPort != 0 {
				flags |= filterDstPort
				b = attr(b, protoDport, binary.BigEndian.AppendUint16(nil, f.DstPort))
			}
			return b
		})
	})
	return nest(b, attrFilter, func(b []byte) []byte {
		return attr(b, filterOrig, binary.NativeEndian.AppendUint32(nil, flags))
	})
}

// translation is the range of addresses and ports of a NAT rule, which has one of each.
func translation(b []byte, kind uint16, to netip.AddrPort) []byte {
	return nest(b, kind, func(b []byte) []byte {
		b = attr(attr(b, natV4Min, to.Addr().AsSlice()), natV4Max, to.Addr().AsSlice())
		return nest(b, natProto, func(b []byte) []byte {
			port := binary.BigEndian.AppendUint16(nil, to.Port())
			return attr(attr(b, portMin, port), portMax, port)
		})
	})
}

// attr appends one netlink attribute, padded to 4 bytes.
func attr(b []byte, kind uint16, data []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(data)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func nest(b []byte, kind uint16, inner func([]byte) []byte) []byte {
	at := len(b)
	b = inner(attr(b, kind|unix.NLA_F_NESTED, nil))
	binary.NativeEndian.PutUint16(b[at:], uint16(len(b)-at))
	return b
}

// unmarshal reads a dumped entry, and makes the attributes of a request that deletes exactly it.
func unmarshal(m netlink.Message) (e Entry, key []byte, err error) {
	ad, err := nfnl.Attributes(m)
	if err != nil {
		return e, nil, fmt.Errorf("entry: %w", err)
	}
	for ad.Next() {
		switch ad.Type() {
		case attrTupleOrig:
			key = attr(key, attrTupleOrig|unix.NLA_F_NESTED, ad.Bytes())
			ad.Nested(func(d *netlink.AttributeDecoder) error { return e.Orig.unmarshal(d, &e.Proto) })
		case attrTupleReply:
			ad.Nested(func(d *netlink.AttributeDecoder) error { return e.Reply.unmarshal(d, &e.Proto) })
		case attrID:
			key = attr(key, attrID, ad.Bytes())
		case attrStatus:
			e.Status = Status(ad.Uint32())
		case attrTimeout:
			e.Timeout = time.Duration(ad.Uint32()) * time.Second
		case attrMark:
			e.Mark = ad.Uint32()
		case attrProtoInfo:
			ad.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					if d.Type() == infoTCP {
						d.Nested(func(d *netlink.AttributeDecoder) error {
							for d.Next() {
								if d.Type() == tcpState {
									e.TCPState = d.Uint8()
								}
							}
							return nil
						})
					}
				}
				return nil
			})
		}
	}
	if err := ad.Err(); err != nil {
		return e, nil, fmt.Errorf("entry: %w", err)
	}
	return e, key, nil
}

func (t *Tuple) unmarshal(ad *netlink.AttributeDecoder, proto *uint8) error {
	var src, dst netip.Addr
	var sport, dport uint16
	for ad.Next() {
		switch ad.Type() {
		case tupleIP:
			ad.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					a, _ := netip.AddrFromSlice(d.Bytes())
					switch d.Type() {
					case ipV4Src:
						src = a
					case ipV4Dst:
						dst = a
					}
				}
				return nil
			})
		case tupleProto:
			ad.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					switch d.Type() {
					case protoNum:
						*proto = d.Uint8()
					case protoSport:
						sport = d.Uint16()
					case protoDport:
						dport = d.Uint16()
					}
				}
				return nil
			})
		}
	}
	t.Src, t.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
	return nil
}
