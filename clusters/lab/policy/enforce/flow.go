package enforce

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

// flow is what a packet's headers say of where it belongs.
type flow struct {
	protocol                    uint8
	source, destination         netip.Addr
	sourcePort, destinationPort uint16
}

// parseFlow reads an IPv4 packet that may be cut after its headers.
func parseFlow(packet []byte) (flow, error) {
	if len(packet) < 20 || packet[0]>>4 != 4 {
		return flow{}, errors.New("not an IPv4 packet")
	}
	f := flow{
		protocol: packet[9], source: netip.AddrFrom4([4]byte(packet[12:16])), destination: netip.AddrFrom4([4]byte(packet[16:20])),
	}
	header := int(packet[0]&0x0f) * 4
	later := binary.BigEndian.Uint16(packet[6:])&0x1fff != 0 // a fragment that is not the first has no ports
	if (f.protocol == unix.IPPROTO_TCP || f.protocol == unix.IPPROTO_UDP) && !later && len(packet) >= header+4 {
		f.sourcePort = binary.BigEndian.Uint16(packet[header:])
		f.destinationPort = binary.BigEndian.Uint16(packet[header+2:])
	}
	return f, nil
}

func (f flow) protocolName() string {
	if name, ok := map[uint8]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp", unix.IPPROTO_ICMP: "icmp"}[f.protocol]; ok {
		return name
	}
	return strconv.Itoa(int(f.protocol))
}
