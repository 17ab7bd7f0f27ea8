package hold

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Flow is what a packet says about itself at the hook where it was caught: after DNAT, Dst is the backend.
type Flow struct {
	// Proto is the IP protocol number (17 is UDP, 6 is TCP).
	Proto uint8
	// Src and Dst carry port 0 when the protocol has none or the packet is a later fragment.
	Src, Dst netip.AddrPort
}

// Key names a flow by what DNAT leaves alone: two packets of one socket have the same key wherever they are sent.
type Key struct {
	Proto uint8
	Src   netip.AddrPort
}

// Key returns the flow's key.
func (f Flow) Key() Key { return Key{f.Proto, f.Src} }

// String is "udp 10.0.0.1:53 > 10.0.0.2:53".
func (f Flow) String() string {
	name := fmt.Sprintf("proto %d", f.Proto)
	switch f.Proto {
	case unix.IPPROTO_UDP:
		name = "udp"
	case unix.IPPROTO_TCP:
		name = "tcp"
	}
	return fmt.Sprintf("%s %s > %s", name, f.Src, f.Dst)
}

// ParseFlow reads the IPv4 header and, for UDP and TCP, the ports.
func ParseFlow(b []byte) (Flow, error) {
	h, err := parseHeader(b)
	if err != nil {
		return Flow{}, err
	}
	f := Flow{Proto: h.proto}
	var sport, dport uint16
	if h.hasPorts {
		sport = binary.BigEndian.Uint16(b[h.l4:])
		dport = binary.BigEndian.Uint16(b[h.l4+2:])
	}
	f.Src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:16])), sport)
	f.Dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[16:20])), dport)
	return f, nil
}

// L4 returns the bytes after the transport header (the UDP or TCP payload).
func L4(b []byte) ([]byte, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	n := 0
	switch {
	case h.hasPorts && h.proto == unix.IPPROTO_UDP:
		n = 8
	case h.hasPorts && h.proto == unix.IPPROTO_TCP && len(b) >= h.l4+13:
		n = int(b[h.l4+12]>>4) * 4
	}
	if h.l4+n > len(b) {
		return nil, fmt.Errorf("packet of %d bytes ends inside its transport header", len(b))
	}
	return b[h.l4+n:], nil
}

// FixChecksums writes the IPv4 total length and checksum, the UDP length, and the UDP or TCP checksum of a packet that was
// changed or made up. A packet from a queue may carry a partial checksum (NFQA_SKB_CSUMNOTREADY), so one that is sent back
// changed always needs this. Source: linux net/netfilter/nfnetlink_queue.c (nfqnl_mangle sets CHECKSUM_NONE).
func FixChecksums(b []byte) error {
	h, err := parseHeader(b)
	if err != nil {
		return fmt.Errorf("fixing checksums: %w", err)
	}
	if len(b) > 0xffff {
		return fmt.Errorf("fixing checksums: packet of %d bytes is longer than IPv4 allows", len(b))
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(0, b[:h.l4])))
	if !h.hasPorts {
		return nil
	}
	l4 := b[h.l4:]
	at := 16
	if h.proto == unix.IPPROTO_UDP {
		at = 6
		if len(l4) < 8 {
			return fmt.Errorf("fixing checksums: UDP header cut short")
		}
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	} else if len(l4) < 20 {
		return fmt.Errorf("fixing checksums: TCP header cut short")
	}
	binary.BigEndian.PutUint16(l4[at:], 0)
	s := sum(0, b[12:20]) + uint32(h.proto) + uint32(len(l4))
	c := ^fold(sum(s, l4))
	if c == 0 && h.proto == unix.IPPROTO_UDP {
		c = 0xffff // 0 means "no checksum" in UDP (RFC 768)
	}
	binary.BigEndian.PutUint16(l4[at:], c)
	return nil
}

type header struct {
	proto    uint8
	l4       int
	hasPorts bool
}

func parseHeader(b []byte) (header, error) {
	if len(b) < 20 {
		return header{}, fmt.Errorf("packet of %d bytes is shorter than an IPv4 header", len(b))
	}
	if v := b[0] >> 4; v != 4 {
		return header{}, fmt.Errorf("IP version %d, only 4 is understood", v)
	}
	h := header{proto: b[9], l4: int(b[0]&0xf) * 4}
	if h.l4 < 20 || h.l4 > len(b) {
		return header{}, fmt.Errorf("IPv4 header length %d in a packet of %d bytes", h.l4, len(b))
	}
	later := binary.BigEndian.Uint16(b[6:])&0x1fff != 0
	switch h.proto {
	case unix.IPPROTO_UDP, unix.IPPROTO_TCP:
		h.hasPorts = !later && len(b) >= h.l4+4
	}
	return h, nil
}

func sum(s uint32, b []byte) uint32 {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
