// Package packetstest makes captures for tests.
package packetstest

import (
	"bytes"
	"net"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Sent is a packet to be made up: exactly one of TCP, DNS, Datagram and ICMP is given.
type Sent struct {
	At       time.Time
	From, To string
	TCP      *layers.TCP
	// Payload of the TCP segment.
	Payload  int
	DNS      *layers.DNS
	Datagram []byte
	ICMP     *layers.ICMPv4
	// About is what the ICMP error quotes.
	About *Sent
}

// Capture writes packets as the engine does.
func Capture(all ...Sent) []byte {
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	must(w.WriteFileHeader(256, layers.LinkTypeEthernet))
	for _, s := range all {
		data := s.bytes(true)
		kept := data[:min(len(data), 256)]
		must(w.WritePacket(gopacket.CaptureInfo{Timestamp: s.At, CaptureLength: len(kept), Length: len(data)}, kept))
	}
	return out.Bytes()
}

func (s Sent) bytes(ethernet bool) []byte {
	from, to := netip.MustParseAddrPort(s.From), netip.MustParseAddrPort(s.To)
	ip := &layers.IPv4{Version: 4, TTL: 64, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
	var parts []gopacket.SerializableLayer
	if ethernet {
		mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
		parts = append(parts, &layers.Ethernet{SrcMAC: mac, DstMAC: mac, EthernetType: layers.EthernetTypeIPv4})
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	switch {
	case s.TCP != nil:
		ip.Protocol = layers.IPProtocolTCP
		segment := *s.TCP
		segment.SrcPort, segment.DstPort = layers.TCPPort(from.Port()), layers.TCPPort(to.Port())
		must(segment.SetNetworkLayerForChecksum(ip))
		parts = append(parts, ip, &segment, gopacket.Payload(make([]byte, s.Payload)))
	case s.DNS != nil:
		ip.Protocol = layers.IPProtocolUDP
		must(udp.SetNetworkLayerForChecksum(ip))
		parts = append(parts, ip, udp, s.DNS)
	case s.ICMP != nil:
		ip.Protocol = layers.IPProtocolICMPv4
		parts = append(parts, ip, s.ICMP, gopacket.Payload(s.About.bytes(false)[:28]))
	default:
		ip.Protocol = layers.IPProtocolUDP
		must(udp.SetNetworkLayerForChecksum(ip))
		parts = append(parts, ip, udp, gopacket.Payload(s.Datagram))
	}
	buffer := gopacket.NewSerializeBuffer()
	must(gopacket.SerializeLayers(buffer, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, parts...))
	return buffer.Bytes()
}

// Query is a DNS query; Answer its answer with one record, or none.
func Query(id uint16, name string, kind layers.DNSType) *layers.DNS {
	return &layers.DNS{ID: id, RD: true, Questions: []layers.DNSQuestion{{Name: []byte(name), Type: kind, Class: layers.DNSClassIN}}}
}

// Answer is the answer to a query, with the address where there is one.
func Answer(query *layers.DNS, address string) *layers.DNS {
	d := *query
	d.QR = true
	if address != "" {
		d.Answers = []layers.DNSResourceRecord{{Name: query.Questions[0].Name, Type: layers.DNSTypeA, Class: layers.DNSClassIN, TTL: 30, IP: net.ParseIP(address)}}
	}
	return &d
}

func must(err error) {
	if err != nil {
		panic(err) // the test that made it up is wrong
	}
}
