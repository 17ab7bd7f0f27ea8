package packets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/reports/packets"
	. "github.com/relapse-k8s/relapse/reports/packets/packetstest"
)

const client, server = "10.244.1.3:40000", "10.96.0.80:80"

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(milliseconds float64) time.Time {
	return noon.Add(time.Duration(milliseconds * float64(time.Millisecond)))
}

// told is a flow as a person reads it.
func told(f packets.Flow, most int) []string {
	var lines []string
	for _, r := range f.Rows(most) {
		arrow := "<"
		if r.Out {
			arrow = ">"
		}
		line := fmt.Sprintf("%s %s %s [%s]", r.At, arrow, r.Text, r.Note)
		if r.Between != "" {
			line = fmt.Sprintf("%s … %s", r.At, r.Between)
		}
		lines = append(lines, strings.TrimSuffix(line, " []"))
	}
	return lines
}

func TestAConnectionThatIsReset(t *testing.T) {
	g := NewWithT(t)
	flows, err := packets.Read(Capture(
		Sent{At: at(0), From: client, To: server, TCP: &layers.TCP{SYN: true, Seq: 4294967290}},
		Sent{At: at(0.2), From: server, To: client, TCP: &layers.TCP{SYN: true, ACK: true, Seq: 7000, Ack: 4294967291}},
		Sent{At: at(0.3), From: client, To: server, TCP: &layers.TCP{ACK: true, Seq: 4294967291, Ack: 7001}},
		Sent{At: at(0.4), From: client, To: server, TCP: &layers.TCP{PSH: true, ACK: true, Seq: 4294967291, Ack: 7001}, Payload: 1400},
		Sent{At: at(210), From: client, To: server, TCP: &layers.TCP{PSH: true, ACK: true, Seq: 4294967291, Ack: 7001}, Payload: 1400},
		Sent{At: at(900), From: server, To: client, TCP: &layers.TCP{RST: true, Seq: 7001}},
	))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(flows).To(HaveLen(1))
	g.Expect(flows[0].Odd()).To(BeTrue())
	g.Expect(told(flows[0], 40)).To(Equal([]string{
		"0s > SYN, seq 0",
		"200µs < SYN ACK, seq 0, ack 1",
		"300µs > ACK, seq 1, ack 1",
		"400µs > PSH ACK, seq 1, ack 1, 1400 bytes",
		"210ms > PSH ACK, seq 1, ack 1, 1400 bytes [sent again]",
		"900ms … 0.69 s without a packet",
		"900ms < RST, seq 1 [reset]",
	}))
}

func TestALookupThatIsAskedAgain(t *testing.T) {
	g := NewWithT(t)
	const dns = "10.96.0.10:53"
	a, aaaa := Query(17, "web.default.svc.cluster.local", layers.DNSTypeA), Query(18, "web.default.svc.cluster.local", layers.DNSTypeAAAA)
	flows, err := packets.Read(Capture(
		Sent{At: at(0), From: client, To: dns, DNS: a},
		Sent{At: at(0.1), From: client, To: dns, DNS: aaaa},
		Sent{At: at(0.5), From: dns, To: client, DNS: Answer(a, "10.96.1.1")},
		Sent{At: at(5005), From: client, To: dns, DNS: a},
		Sent{At: at(5006), From: dns, To: client, DNS: Answer(a, "10.96.1.1")},
		Sent{At: at(5007), From: dns, To: client, DNS: Answer(aaaa, "")},
	))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(flows).To(HaveLen(1))
	g.Expect(told(flows[0], 40)).To(Equal([]string{
		"0s > DNS query A web.default.svc.cluster.local, id 17, 47 bytes",
		"100µs > DNS query AAAA web.default.svc.cluster.local, id 18, 47 bytes",
		"500µs < DNS answer A web.default.svc.cluster.local: 1 record, id 17, 92 bytes",
		"5.005s … 5.00 s without a packet",
		"5.005s > DNS query A web.default.svc.cluster.local, id 17, 47 bytes [asked again]",
		"5.006s < DNS answer A web.default.svc.cluster.local: 1 record, id 17, 92 bytes",
		"5.007s < DNS answer AAAA web.default.svc.cluster.local: 0 records, id 18, 47 bytes",
	}))
}

func TestAnErrorBelongsToWhatItIsAbout(t *testing.T) {
	g := NewWithT(t)
	large := Sent{At: at(1), From: client, To: server, TCP: &layers.TCP{ACK: true, Seq: 1, Ack: 1}, Payload: 1400}
	needed := layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodeFragmentationNeeded)
	flows, err := packets.Read(Capture(large, Sent{At: at(2), From: "10.244.1.1:0", To: client, ICMP: &layers.ICMPv4{TypeCode: needed, Seq: 1300}, About: &large}))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(flows).To(HaveLen(1))
	g.Expect(told(flows[0], 40)[1]).To(Equal("1ms < ICMP fragmentation needed, MTU 1300, from 10.244.1.1 [error]"))
}

func TestALongFlowIsCutInTheMiddle(t *testing.T) {
	g := NewWithT(t)
	var all []Sent
	for i := range 300 {
		all = append(all, Sent{At: at(float64(i)), From: client, To: "10.96.0.9:9", Datagram: []byte("x")})
	}
	flows, err := packets.Read(Capture(all...))
	g.Expect(err).NotTo(HaveOccurred())
	lines := told(flows[0], 40)
	g.Expect(lines).To(HaveLen(40))
	g.Expect(lines[0]).To(Equal("0s > UDP, 1 byte"))
	g.Expect(lines[26]).To(Equal("26ms … 261 more rows, which the capture has"))
	g.Expect(lines[39]).To(HavePrefix("299ms"))
	g.Expect(flows[0].Within(at(10), at(12)).Packets).To(HaveLen(3))
	g.Expect(flows[0].Odd()).To(BeFalse())
}

func TestWhatIsNoCaptureOrBreaksOff(t *testing.T) {
	g := NewWithT(t)
	_, err := packets.Read([]byte("no capture"))
	g.Expect(err).To(HaveOccurred())
	whole := Capture(
		Sent{At: at(0), From: client, To: server, TCP: &layers.TCP{SYN: true}},
		Sent{At: at(1), From: server, To: client, TCP: &layers.TCP{RST: true}},
	)
	for cut := 24; cut < len(whole); cut++ {
		_, err := packets.Read(whole[:cut])
		g.Expect(err).NotTo(HaveOccurred(), "cut at %d", cut)
	}
}
