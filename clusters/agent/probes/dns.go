package probes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// DNS asks one server for the records of one name, as dig does: no search domain is appended, no other server is asked. Use it to see
// what a server answers; use lookup to see what programs get. The error of an attempt says what came instead of the right answer:
// nothing, a refusal, a truncated answer, another response code or other records.
type DNS struct {
	// Server is the IP address of the DNS server. Default: the first nameserver of the pod's resolv.conf.
	Server string `json:"server,omitempty"`
	// Name to ask for, with or without a dot at its end.
	Name string `json:"name"`
	// Type of the records. Default: A.
	Type string `json:"type,omitempty" jsonschema:"enum=A,enum=AAAA,enum=CNAME,enum=PTR,enum=SRV,enum=TXT"`
	// Transport of the question. After a truncated answer over udp, tcp is not tried. Default: udp.
	Transport string `json:"transport,omitempty" jsonschema:"enum=udp,enum=tcp"`
	// EDNS is the size of UDP answers, in bytes, that the question allows. Default: none is said, which means 512.
	EDNS int `json:"edns,omitempty" jsonschema:"minimum=512,maximum=65535"`
	// Fresh puts a label before the name that each attempt has for itself, so that no cache knows the name.
	Fresh bool `json:"fresh,omitempty"`
	// Retry is the time after which an attempt asks again if the answer was not the right one, until its time-out. Default: it asks once.
	Retry units.Duration `json:"retry,omitempty"`
	// Expect lists the records that are the right answer, in any order: addresses, names with their last dot, or "PRIORITY WEIGHT PORT NAME". Default:
	// at least one record.
	Expect []string `json:"expect,omitempty" jsonschema:"minItems=1"`
	// Rcode is the response code that is right, with any records. Default: NOERROR.
	Rcode string `json:"rcode,omitempty" jsonschema:"enum=NOERROR,enum=FORMERR,enum=SERVFAIL,enum=NXDOMAIN,enum=NOTIMP,enum=REFUSED"`
}

var (
	dnsTypes = map[string]dnsmessage.Type{
		"": dnsmessage.TypeA, "A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME,
		"PTR": dnsmessage.TypePTR, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT,
	}
	// dnsRcodes are the names of response codes. Source: RFC 1035, 4.1.1.
	dnsRcodes = []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}
)

// Validate refuses questions that cannot be asked, and answers that cannot come.
func (p *DNS) Validate() error {
	if _, err := netip.ParseAddr(p.Server); p.Server != "" && err != nil {
		return fmt.Errorf("server: %q is not an IP address", p.Server)
	}
	if _, err := p.question(0).Pack(); err != nil || p.Name == "" {
		return fmt.Errorf("name: %q is not a name that DNS can have", p.Name)
	}
	if p.EDNS > 0 && p.Transport == "tcp" {
		return errors.New("edns is about the size of UDP answers: leave it out with transport: tcp")
	}
	if len(p.Expect) > 0 && p.Rcode != "" {
		return errors.New("give expect or rcode: records come with NOERROR")
	}
	for _, record := range p.Expect {
		address, err := netip.ParseAddr(record)
		if asked := dnsTypes[p.Type]; asked == dnsmessage.TypeA && !address.Is4() || asked == dnsmessage.TypeAAAA && (err != nil || address.Is4()) {
			return fmt.Errorf("expect: %q cannot be the answer to a question for %s", record, cmp.Or(p.Type, "A"))
		}
	}
	return nil
}

// Attempt asks, and asks again if it is told to.
func (p *DNS) Attempt(ctx context.Context, number int) (Outcome, error) {
	server, err := p.server()
	if err != nil {
		return Outcome{}, err
	}
	outcome, err := p.ask(ctx, server, number)
	for err != nil && p.Retry > 0 {
		again := time.NewTimer(p.Retry.Std())
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return outcome, err
		}
		next, nextErr := p.ask(ctx, server, number)
		if late := net.Error(nil); ctx.Err() != nil && nextErr != nil || errors.As(nextErr, &late) && late.Timeout() {
			return outcome, err // the last answer says more than that there was no time for another
		}
		outcome, err = next, nextErr
	}
	return outcome, err
}

// server is the one to ask, with its port.
func (p *DNS) server() (string, error) {
	if p.Server != "" {
		return net.JoinHostPort(p.Server, "53"), nil
	}
	const file = "/etc/resolv.conf"
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			return net.JoinHostPort(words[1], "53"), nil
		}
	}
	return "", fmt.Errorf("%s has no nameserver", file)
}

// freshName puts a label of an attempt's own before a name.
func freshName(name string, number int) string { return fmt.Sprintf("attempt-%d.%s", number, name) }

// question is what an attempt asks.
func (p *DNS) question(number int) *dnsmessage.Message {
	name := strings.TrimSuffix(p.Name, ".") + "."
	if p.Fresh {
		name = freshName(name, number)
	}
	question := &dnsmessage.Message{
		// Numbered, so that no late answer is taken for another's.
		Header:    dnsmessage.Header{ID: uint16(number), RecursionDesired: true},
		Questions: []dnsmessage.Question{{Type: dnsTypes[p.Type], Class: dnsmessage.ClassINET}},
	}
	// A name that is too long stays empty, which cannot be packed.
	question.Questions[0].Name, _ = dnsmessage.NewName(name)
	if p.EDNS > 0 {
		options := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
		_ = options.Header.SetEDNS0(p.EDNS, dnsmessage.RCodeSuccess, false) // it never fails
		question.Additionals = append(question.Additionals, options)
	}
	return question
}

// ask asks once.
func (p *DNS) ask(ctx context.Context, server string, number int) (Outcome, error) {
	question := p.question(number)
	packed, err := question.Pack()
	if err != nil {
		return Outcome{}, err
	}
	failed := func(err error) error {
		return fmt.Errorf("question to %s for %s %s: %w", server, question.Questions[0].Name, cmp.Or(p.Type, "A"), err)
	}
	open := dialer()
	conn, err := open.DialContext(ctx, cmp.Or(p.Transport, "udp"), server)
	if err != nil {
		return Outcome{}, failed(err)
	}
	defer conn.Close()
	var outcome Outcome
	outcome.from(conn)
	defer bound(ctx, conn)()
	answer, err := exchange(conn, packed, question)
	if err != nil {
		return outcome, failed(err)
	}
	records := p.records(answer)
	outcome.Seen = strings.TrimSpace(rcode(answer.RCode) + " " + strings.Join(records, ", "))
	if err := p.check(answer, records); err != nil {
		return outcome, failed(err)
	}
	return outcome, nil
}

// rcode is the name of a response code.
func rcode(code dnsmessage.RCode) string {
	if int(code) < len(dnsRcodes) {
		return dnsRcodes[code]
	}
	return fmt.Sprintf("RCODE%d", code)
}

// records are the answer's records of the type that was asked for, as text.
func (p *DNS) records(answer *dnsmessage.Message) []string {
	var all []string
	for _, record := range answer.Answers {
		if record.Header.Type != dnsTypes[p.Type] {
			continue
		}
		switch body := record.Body.(type) {
		case *dnsmessage.AResource:
			all = append(all, netip.AddrFrom4(body.A).String())
		case *dnsmessage.AAAAResource:
			all = append(all, netip.AddrFrom16(body.AAAA).String())
		case *dnsmessage.CNAMEResource:
			all = append(all, body.CNAME.String())
		case *dnsmessage.PTRResource:
			all = append(all, body.PTR.String())
		case *dnsmessage.SRVResource:
			all = append(all, fmt.Sprintf("%d %d %d %s", body.Priority, body.Weight, body.Port, body.Target))
		case *dnsmessage.TXTResource:
			all = append(all, strings.Join(body.TXT, ""))
		}
	}
	return sorted(all)
}

// check holds an answer against what is expected.
func (p *DNS) check(answer *dnsmessage.Message, records []string) error {
	code, right := rcode(answer.RCode), cmp.Or(p.Rcode, "NOERROR")
	switch {
	case answer.Truncated:
		return fmt.Errorf("the answer is truncated, with %d records", len(records))
	case code != right:
		return fmt.Errorf("the answer is %s", code)
	case len(p.Expect) > 0 && !slices.Equal(sorted(p.Expect), records):
		return fmt.Errorf("the answer is %q, expected: %q", records, p.Expect)
	case p.Rcode == "" && len(records) == 0:
		return errors.New("the answer has no such record")
	}
	return nil
}

// exchange sends a question and reads until its answer comes. Source of the length before a message over TCP: RFC 1035, 4.2.2.
func exchange(conn net.Conn, packed []byte, question *dnsmessage.Message) (*dnsmessage.Message, error) {
	stream := conn.RemoteAddr().Network() == "tcp"
	if stream {
		packed = append([]byte{byte(len(packed) >> 8), byte(len(packed))}, packed...)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, err
	}
	for {
		text, err := readMessage(conn, stream)
		if err != nil {
			return nil, err
		}
		answer := &dnsmessage.Message{}
		if err := answer.Unpack(text); err != nil {
			return nil, fmt.Errorf("the answer is broken: %w", err)
		}
		if answer.ID == question.ID && answer.Response && len(answer.Questions) == 1 && sameQuestion(answer.Questions[0], question.Questions[0]) {
			return answer, nil
		}
	}
}

func sameQuestion(a, b dnsmessage.Question) bool {
	return a.Type == b.Type && strings.EqualFold(a.Name.String(), b.Name.String())
}

// readMessage reads one message; over TCP its length comes first.
func readMessage(conn net.Conn, stream bool) ([]byte, error) {
	text := make([]byte, 65535)
	if !stream {
		n, err := conn.Read(text)
		return text[:n], err
	}
	if _, err := io.ReadFull(conn, text[:2]); err != nil {
		return nil, err
	}
	length := int(text[0])<<8 | int(text[1])
	_, err := io.ReadFull(conn, text[:length])
	return text[:length], err
}

// Close has nothing to close.
func (p *DNS) Close() error { return nil }
