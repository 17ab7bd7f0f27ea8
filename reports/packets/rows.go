package packets

import (
	"fmt"
	"strings"
	"time"

	"github.com/gopacket/gopacket/layers"
)

// Row is a packet in words, or what is said in place of packets: a silence, or packets that are left out.
type Row struct {
	// At is the time since the flow's first packet.
	At time.Duration
	// Out is whether the client sent it.
	Out bool
	// Text is the packet; Note says what is remarkable about it.
	Text, Note string
	// Between is set where the row stands between packets, and says what for.
	Between string
}

// silence is how long nothing must have been sent to be worth a row.
const silence = 500 * time.Millisecond

// Rows tells the flow in no more than most rows or so: of a long one the begin and the end.
func (f Flow) Rows(most int) []Row {
	var rows []Row
	seen := newMemory(f)
	for i, p := range f.Packets {
		at := p.At.Sub(f.Packets[0].At)
		if i > 0 {
			if gap := p.At.Sub(f.Packets[i-1].At); gap >= silence {
				rows = append(rows, Row{At: at, Between: fmt.Sprintf("%.2f s without a packet", gap.Seconds())})
			}
		}
		rows = append(rows, Row{At: at, Out: p.From == f.Client, Text: seen.text(p), Note: seen.note(p)})
	}
	if len(rows) <= most {
		return rows
	}
	head, tail := most*2/3, most-most*2/3-1
	left := rows[head : len(rows)-tail]
	cut := append([]Row{}, rows[:head]...)
	cut = append(cut, Row{At: left[0].At, Between: fmt.Sprintf("%d more rows, which the capture has", len(left))})
	return append(cut, rows[len(rows)-tail:]...)
}

// Within is the part of the flow that was seen between two moments.
func (f Flow) Within(from, to time.Time) Flow {
	part := f
	part.Packets = nil
	for _, p := range f.Packets {
		if !p.At.Before(from) && !p.At.After(to) {
			part.Packets = append(part.Packets, p)
		}
	}
	return part
}

// Odd is whether the flow has a reset, an ICMP error, or something that was sent again.
func (f Flow) Odd() bool {
	seen := newMemory(f)
	for _, p := range f.Packets {
		if seen.note(p) != "" {
			return true
		}
	}
	return false
}

// memory is what has been seen of a flow, in each direction.
type memory struct {
	client string
	// first is the sequence number from which the others are counted; next is the one after the last byte seen.
	first, next map[string]uint32
	syn         map[string]bool
	asked       map[string]bool
}

func newMemory(f Flow) *memory {
	return &memory{client: f.Client.String(), first: map[string]uint32{}, next: map[string]uint32{}, syn: map[string]bool{}, asked: map[string]bool{}}
}

// note says what is remarkable, and remembers the packet.
func (m *memory) note(p Packet) string {
	from := p.From.String()
	switch {
	case p.ICMP != "":
		return "error"
	case p.DNS != nil:
		key := from + question(p.DNS) + fmt.Sprint(p.DNS.ID)
		again := m.asked[key]
		m.asked[key] = true
		if again && !p.DNS.QR {
			return "asked again"
		}
		return ""
	case p.TCP == nil:
		return ""
	}
	if p.TCP.RST {
		return "reset"
	}
	if p.TCP.SYN {
		again := m.syn[from]
		m.syn[from] = true
		m.next[from] = p.TCP.Seq + 1
		if again {
			return "sent again"
		}
		return ""
	}
	end := p.TCP.Seq + uint32(p.Payload)
	next, known := m.next[from]
	if p.Payload > 0 && known && int32(end-next) <= 0 {
		return "sent again"
	}
	if !known || int32(end-next) > 0 {
		m.next[from] = end
	}
	return ""
}

// text is the packet as tcpdump would say it, with numbers counted from the first.
func (m *memory) text(p Packet) string {
	switch {
	case p.ICMP != "":
		return p.ICMP
	case p.DNS != nil:
		return fmt.Sprintf("DNS %s, id %d, %s", kind(p.DNS), p.DNS.ID, size(p.Payload))
	case p.TCP == nil:
		return fmt.Sprintf("%s, %s", p.Protocol, size(p.Payload))
	}
	from := p.From.String()
	if _, known := m.first[from]; !known || p.TCP.SYN {
		m.first[from] = p.TCP.Seq
	}
	text := flags(p.TCP) + fmt.Sprintf(", seq %d", p.TCP.Seq-m.first[from])
	if first, known := m.first[p.To.String()]; p.TCP.ACK && known {
		text += fmt.Sprintf(", ack %d", p.TCP.Ack-first)
	}
	if p.Payload > 0 {
		text += ", " + size(p.Payload)
	}
	return text
}

func flags(t *layers.TCP) string {
	var names []string
	for _, f := range []struct {
		set  bool
		name string
	}{{t.SYN, "SYN"}, {t.FIN, "FIN"}, {t.RST, "RST"}, {t.PSH, "PSH"}, {t.ACK, "ACK"}} {
		if f.set {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		return "no flags"
	}
	return strings.Join(names, " ")
}

// kind says what a DNS message is: "query A web.default.svc.cluster.local", "answer A …: 1 record".
func kind(d *layers.DNS) string {
	if !d.QR {
		return "query " + question(d)
	}
	text := "answer " + question(d)
	if d.ResponseCode != layers.DNSResponseCodeNoErr {
		return text + ": " + d.ResponseCode.String()
	}
	if d.ANCount == 1 {
		return text + ": 1 record"
	}
	return fmt.Sprintf("%s: %d records", text, d.ANCount)
}

func question(d *layers.DNS) string {
	if len(d.Questions) == 0 {
		return "without a question"
	}
	return d.Questions[0].Type.String() + " " + string(d.Questions[0].Name)
}

func size(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
