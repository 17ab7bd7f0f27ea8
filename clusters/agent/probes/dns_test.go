package probes

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/relapse-k8s/relapse/clusters/agent/undo/nstest"
	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// dnsServer answers by the first label of the name; over TCP, and with EDNS, nothing is truncated.
func dnsServer(t *testing.T) (asked chan string) {
	g := NewWithT(t)
	asked = make(chan string, 100)
	packets, err := net.ListenPacket("udp4", "127.0.0.1:53")
	g.Expect(err).NotTo(HaveOccurred())
	streams, err := net.Listen("tcp4", "127.0.0.1:53")
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { packets.Close(); streams.Close() })
	go func() {
		for text := make([]byte, 1000); ; {
			n, from, err := packets.ReadFrom(text)
			if err != nil {
				return
			}
			if answer := dnsAnswer(text[:n], true, asked); answer != nil {
				_, _ = packets.WriteTo(answer, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := streams.Accept()
			if err != nil {
				return
			}
			length := make([]byte, 2)
			_, _ = io.ReadFull(conn, length)
			text := make([]byte, int(length[0])<<8|int(length[1]))
			_, _ = io.ReadFull(conn, text)
			answer := dnsAnswer(text, false, asked)
			_, _ = conn.Write(append([]byte{byte(len(answer) >> 8), byte(len(answer))}, answer...))
			conn.Close()
		}
	}()
	return asked
}

func dnsAnswer(text []byte, udp bool, asked chan string) []byte {
	var m dnsmessage.Message
	if m.Unpack(text) != nil {
		return nil
	}
	q := m.Questions[0]
	name := q.Name.String()
	asked <- name
	m.Response = true
	edns := len(m.Additionals) > 0
	m.Additionals = nil
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: body})
	}
	switch first, _, _ := strings.Cut(name, "."); first {
	case "silent":
		return nil
	case "missing":
		m.RCode = dnsmessage.RCodeNameError
	case "broken":
		m.RCode = dnsmessage.RCodeServerFailure
	case "none":
	case "big":
		m.Truncated = udp && !edns
		add(&dnsmessage.AResource{A: [4]byte{10, 0, 0, 2}})
	case "service":
		add(&dnsmessage.SRVResource{Priority: 1, Weight: 2, Port: 80, Target: q.Name})
	default:
		add(&dnsmessage.CNAMEResource{CNAME: q.Name})
		add(&dnsmessage.AResource{A: [4]byte{10, 0, 0, 1}})
	}
	answer, _ := m.Pack()
	return answer
}

func TestDNSTellsAnswersApart(t *testing.T) {
	if !nstest.Enter(t) {
		return
	}
	asked := dnsServer(t)
	const question = "question to 127.0.0.1:53 for "
	for _, c := range []struct {
		probe       DNS
		seen, wrong string
	}{
		{DNS{Name: "web.test"}, "NOERROR 10.0.0.1", ""},
		{DNS{Name: "web.test.", Transport: "tcp", Expect: []string{"10.0.0.1"}}, "NOERROR 10.0.0.1", ""},
		{DNS{Name: "web.test", Expect: []string{"10.0.0.9"}}, "NOERROR 10.0.0.1", question + `web.test. A: the answer is ["10.0.0.1"], expected: ["10.0.0.9"]`},
		{DNS{Name: "service.test", Type: "SRV", Expect: []string{"1 2 80 service.test."}}, "NOERROR 1 2 80 service.test.", ""},
		{DNS{Name: "missing.test"}, "NXDOMAIN", question + "missing.test. A: the answer is NXDOMAIN"},
		{DNS{Name: "missing.test", Rcode: "NXDOMAIN"}, "NXDOMAIN", ""},
		{DNS{Name: "broken.test", Rcode: "NXDOMAIN"}, "SERVFAIL", question + "broken.test. A: the answer is SERVFAIL"},
		{DNS{Name: "none.test"}, "NOERROR", question + "none.test. A: the answer has no such record"},
		{DNS{Name: "none.test", Rcode: "NOERROR"}, "NOERROR", ""},
		{DNS{Name: "big.test"}, "NOERROR 10.0.0.2", question + "big.test. A: the answer is truncated, with 1 records"},
		{DNS{Name: "big.test", EDNS: 1232}, "NOERROR 10.0.0.2", ""},
		{DNS{Name: "big.test", Transport: "tcp"}, "NOERROR 10.0.0.2", ""},
		{DNS{Name: "web.test", Server: "127.0.0.2"}, "", "connection refused"},
		{DNS{Name: "silent.test"}, "", "i/o timeout"},
	} {
		g := NewWithT(t)
		if c.probe.Server == "" {
			c.probe.Server = "127.0.0.1"
		}
		g.Expect(c.probe.Validate()).To(Succeed())
		limit := 10 * time.Second
		if c.wrong == "i/o timeout" {
			limit = 100 * time.Millisecond
		}
		sample := attempt(t.Context(), &c.probe, 7, limit)
		g.Expect(sample.Seen).To(Equal(c.seen), c.probe.Name)
		if c.wrong == "" {
			g.Expect(sample.Error).To(BeEmpty())
			g.Expect(sample.Ports[0]).NotTo(BeZero())
		} else {
			g.Expect(sample.Error).To(HaveSuffix(c.wrong))
		}
	}
	g := NewWithT(t)
	for len(asked) > 0 {
		<-asked
	}
	retried := attempt(t.Context(), &DNS{Server: "127.0.0.1", Name: "missing.test", Retry: units.Duration(10 * time.Millisecond)}, 7, 300*time.Millisecond)
	g.Expect(retried.Error).To(HaveSuffix("the answer is NXDOMAIN"), "the last answer is told, not the time-out")
	g.Expect(len(asked)).To(BeNumerically(">", 2))
	for len(asked) > 0 {
		<-asked
	}
	attempt(t.Context(), &DNS{Server: "127.0.0.1", Name: "web.test", Fresh: true}, 7, 10*time.Second)
	g.Expect(<-asked).To(Equal("attempt-7.web.test."))
}

func TestDNSRefusesSettings(t *testing.T) {
	g := NewWithT(t)
	invalid := func(p *DNS) error { return p.Validate() }
	g.Expect(invalid(&DNS{})).To(MatchError(`name: "" is not a name that DNS can have`))
	g.Expect(invalid(&DNS{Name: "a..b"})).To(MatchError(ContainSubstring("not a name")))
	g.Expect(invalid(&DNS{Name: strings.Repeat("a", 64) + ".b"})).To(MatchError(ContainSubstring("not a name")))
	g.Expect(invalid(&DNS{Name: "a", Server: "dns"})).To(MatchError(`server: "dns" is not an IP address`))
	g.Expect(invalid(&DNS{Name: "a", EDNS: 1232, Transport: "tcp"})).To(MatchError(ContainSubstring("leave it out")))
	g.Expect(invalid(&DNS{Name: "a", Rcode: "NXDOMAIN", Expect: []string{"10.0.0.1"}})).To(MatchError(ContainSubstring("expect or rcode")))
	g.Expect(invalid(&DNS{Name: "a", Expect: []string{"fd00::1"}})).To(MatchError(ContainSubstring("question for A")))
	g.Expect(invalid(&DNS{Name: "a", Type: "AAAA", Expect: []string{"10.0.0.1"}})).To(MatchError(ContainSubstring("question for AAAA")))
}
