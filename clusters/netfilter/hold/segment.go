package hold

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// TCP flags. Source: RFC 9293, 3.1.
const (
	flagFIN = 0x01
	flagSYN = 0x02
	flagRST = 0x04
)

// Segment is what policies look at in a TCP segment. A packet from a queue may stand for many segments on the wire (GSO).
type Segment struct {
	Seq   uint32
	Flags uint8
	// Data is how many bytes of payload it has, and Start where in the packet they begin.
	Data, Start int
}

// ParseSegment reads the TCP header of an IPv4 packet.
func ParseSegment(b []byte) (Segment, error) {
	h, err := parseHeader(b)
	if err != nil {
		return Segment{}, err
	}
	if h.proto != unix.IPPROTO_TCP || !h.hasPorts {
		return Segment{}, fmt.Errorf("protocol %d: no TCP header", h.proto)
	}
	data, err := L4(b)
	if err != nil {
		return Segment{}, err
	}
	tcp := b[h.l4:]
	if len(tcp) < 20 {
		return Segment{}, fmt.Errorf("TCP header cut short")
	}
	return Segment{Seq: binary.BigEndian.Uint32(tcp[4:]), Flags: tcp[13], Data: len(data), Start: len(b) - len(data)}, nil
}

// moved returns a copy of a packet whose sequence number is moved by offset, with at most room bytes of payload.
func moved(b []byte, s Segment, offset int32, room int) ([]byte, error) {
	h, err := parseHeader(b)
	if err != nil {
		return nil, err
	}
	c := append([]byte(nil), b[:s.Start+min(s.Data, room)]...)
	binary.BigEndian.PutUint32(c[h.l4+4:], s.Seq+uint32(offset))
	return c, FixChecksums(c)
}

// flows stores data about each flow. A flow that starts again, with a SYN, is a new one.
type flows[T any] struct {
	states map[Flow]*T
	oldest []Flow
}

// flowsMax limits the number of flows: the oldest flow is forgotten first.
const flowsMax = 4096

func (f *flows[T]) of(flow Flow, s Segment) *T {
	state, known := f.states[flow]
	switch {
	case !known:
		if f.states == nil {
			f.states = map[Flow]*T{}
		}
		if len(f.oldest) == flowsMax {
			delete(f.states, f.oldest[0])
			f.oldest = f.oldest[1:]
		}
		f.oldest = append(f.oldest, flow)
		fallthrough
	case s.Flags&flagSYN != 0:
		state = new(T)
		f.states[flow] = state
	}
	return state
}

// pass lets a packet pass at once; err says why it could not be parsed.
func pass(p Packet, err error) Decision {
	d := Decision{Actions: []Action{Accept(p)}, Passed: 1}
	if err != nil {
		d.Err = fmt.Errorf("packet %d: %w", p.ID, err)
	}
	return d
}
