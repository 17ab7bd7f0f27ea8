// Package packets reads captures and tells one conversation packet by packet, in words that people who know tcpdump know. It is
// pure: a capture in, rows out.
package packets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Packet is one packet of a capture. One that carries an ICMP error belongs to the conversation that it is about.
type Packet struct {
	At       time.Time
	Protocol string
	From, To netip.AddrPort
	// Payload is how many bytes TCP or UDP carried, also where the capture has fewer.
	Payload int
	TCP     *layers.TCP
	DNS     *layers.DNS
	// ICMP says what an error is about, and is empty for anything else.
	ICMP string
}

// Flow is the packets between two endpoints, in their order.
type Flow struct {
	Protocol string
	// Client sent the first packet.
	Client, Server netip.AddrPort
	Packets        []Packet
}

// Read reads a capture. What of it is no TCP or UDP is left out; one that breaks off is read as far as it goes.
func Read(capture []byte) ([]Flow, error) {
	reader, err := pcapgo.NewReader(bytes.NewReader(capture))
	if err != nil {
		return nil, err
	}
	var flows []Flow
	index := map[[2]string]int{}
	for {
		data, info, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return flows, nil
		}
		if err != nil {
			return flows, err
		}
		p, ok := decode(data, reader.LinkType(), info)
		if !ok {
			continue
		}
		there, back := [2]string{p.Protocol + p.From.String(), p.To.String()}, [2]string{p.Protocol + p.To.String(), p.From.String()}
		i, known := index[there]
		if !known {
			i, known = index[back]
		}
		if !known {
			i = len(flows)
			index[there] = i
			flows = append(flows, Flow{Protocol: p.Protocol, Client: p.From, Server: p.To})
		}
		flows[i].Packets = append(flows[i].Packets, p)
	}
}

func decode(data []byte, link layers.LinkType, info gopacket.CaptureInfo) (Packet, bool) {
	// A packet that was cut by the capture's limit is decoded as far as it goes.
	packet := gopacket.NewPacket(data, link, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	p := Packet{At: info.Timestamp}
	var from, to netip.Addr
	var left int // bytes after the IP header, on the wire
	switch ip := packet.NetworkLayer().(type) {
	case *layers.IPv4:
		from, to = addr(ip.SrcIP), addr(ip.DstIP)
		left = int(ip.Length) - 4*int(ip.IHL)
	case *layers.IPv6:
		from, to = addr(ip.SrcIP), addr(ip.DstIP)
		left = int(ip.Length)
	default:
		return p, false
	}
	if icmp, ok := packet.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
		return about(p, from, icmp)
	}
	switch l := packet.TransportLayer().(type) {
	case *layers.TCP:
		p.Protocol, p.TCP, p.Payload = "TCP", l, max(left-4*int(l.DataOffset), 0)
		p.From, p.To = netip.AddrPortFrom(from, uint16(l.SrcPort)), netip.AddrPortFrom(to, uint16(l.DstPort))
	case *layers.UDP:
		p.Protocol, p.Payload = "UDP", max(int(l.Length)-8, 0)
		p.From, p.To = netip.AddrPortFrom(from, uint16(l.SrcPort)), netip.AddrPortFrom(to, uint16(l.DstPort))
		p.DNS, _ = packet.Layer(layers.LayerTypeDNS).(*layers.DNS)
	default:
		return p, false
	}
	return p, true
}

// about takes an ICMP error for a packet of the flow that it quotes, on its way back to the sender. Source: RFC 792: an error carries
// the IP header of what it is about and the 64 bits after it, in which both TCP and UDP have their ports.
func about(p Packet, from netip.Addr, icmp *layers.ICMPv4) (Packet, bool) {
	quoted := icmp.Payload
	if len(quoted) < 20 || icmp.TypeCode.Type() == layers.ICMPv4TypeEchoRequest || icmp.TypeCode.Type() == layers.ICMPv4TypeEchoReply {
		return p, false
	}
	header := 4 * int(quoted[0]&0x0f)
	protocol, known := map[byte]string{6: "TCP", 17: "UDP"}[quoted[9]]
	if !known || header < 20 || len(quoted) < header+4 {
		return p, false
	}
	source, _ := netip.AddrFromSlice(quoted[12:16])
	target, _ := netip.AddrFromSlice(quoted[16:20])
	p.Protocol = protocol
	p.To = netip.AddrPortFrom(source, binary.BigEndian.Uint16(quoted[header:]))
	p.From = netip.AddrPortFrom(target, binary.BigEndian.Uint16(quoted[header+2:]))
	p.ICMP = fmt.Sprintf("ICMP %s from %s", icmp.TypeCode, from)
	if icmp.TypeCode == layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodeFragmentationNeeded) {
		p.ICMP = fmt.Sprintf("ICMP fragmentation needed, MTU %d, from %s", icmp.Seq, from)
	}
	return p, true
}

func addr(ip []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
