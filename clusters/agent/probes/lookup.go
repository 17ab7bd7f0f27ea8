package probes

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent/tool"
)

// Lookup looks a name up as programs do, for IPv4 and IPv6 addresses. The C library's getaddrinfo, which most programs call, sends two
// queries from one socket, back to back. Each attempt is a separate process: after a lost answer, glibc sends one query at a time in that thread, which
// hides the failure from a long-running program.
// Source: glibc resolv/res_send.c (send_dg, RES_SNGLKUP).
type Lookup struct {
	// Name to look up. Without a dot at the end, the search domains of the pod's resolv.conf apply.
	Name string `json:"name"`
	// Family is ipv4 to look up only the IPv4 address, with one query. Default: both addresses.
	Family string `json:"family,omitempty" jsonschema:"enum=ipv4"`
	// Resolver is libc for the C library (glibc), or go for the resolver that programs in Go have, which reads the same resolv.conf and sends
	// each query from a socket of its own. Default: libc.
	Resolver string `json:"resolver,omitempty" jsonschema:"enum=libc,enum=go"`
	// Fresh puts a label before the name that each attempt has for itself, so that no cache knows the name.
	Fresh bool `json:"fresh,omitempty"`
	// SourcePort, if given, is the first of 10000 source ports, one for each attempt: two probes with the same sourcePort use the same ports
	// at the same time. It needs family ipv4, because there is only one port. Default: the kernel's own choice.
	SourcePort int `json:"sourcePort,omitempty" jsonschema:"minimum=1024,maximum=55000"`
	// Expect lists the addresses that are the right answer, in any order, or is [nxdomain] if the name must not exist. Another answer fails
	// the attempt. The C library does not tell a name that does not exist from one without an address. Default: any address.
	Expect []string `json:"expect,omitempty" jsonschema:"minItems=1"`

	ports *freshPorts
}

// nxdomain is expected of a name that must not exist.
const nxdomain = "nxdomain"

// Validate refuses one port for two sockets, and answers that cannot come.
func (p *Lookup) Validate() error {
	for _, expected := range p.Expect {
		address, err := netip.ParseAddr(expected)
		switch {
		case expected == nxdomain && len(p.Expect) == 1:
		case err != nil:
			return fmt.Errorf("expect: %q must be an IP address; or expect: [nxdomain]", expected)
		case p.Family == "ipv4" && !address.Is4():
			return fmt.Errorf("expect: %s cannot be the answer with family: ipv4", expected)
		}
	}
	switch {
	case p.SourcePort > 0 && p.Family != "ipv4":
		return errors.New("sourcePort needs family: ipv4")
	case p.SourcePort > 0 && p.Resolver == "go":
		return errors.New("sourcePort needs resolver: libc, which has one socket at a time")
	}
	return nil
}

// Begin gives the attempts of a series fresh source ports.
func (p *Lookup) Begin() (end func() error, err error) { return p.ports.begin() }

// Attempt looks the name up in a separate process.
func (p *Lookup) Attempt(ctx context.Context, number int) (Outcome, error) {
	try, err := p.Prepare(ctx, number)
	if err != nil {
		return Outcome{}, err
	}
	return try(ctx)
}

// answer reads what an attempt's process has written, and how it ended.
func (p *Lookup) answer(output, trouble []byte, err error) (Answer, error) {
	if err != nil {
		return Answer{}, fmt.Errorf("lookup of %s: %w: %s", p.Name, err, bytes.TrimSpace(trouble))
	}
	var answer Answer
	if err := json.Unmarshal(output, &answer); err != nil {
		return Answer{}, fmt.Errorf("lookup of %s: %w: %s", p.Name, err, output)
	}
	return answer, p.check(answer)
}

// check holds an answer against what is expected.
func (p *Lookup) check(a Answer) error {
	switch expected := sorted(p.Expect); {
	case slices.Equal(expected, []string{nxdomain}) && a.NotFound:
		return nil
	case a.Error != "":
		return errors.New(a.Error)
	case len(expected) > 0 && !slices.Equal(expected, sorted(a.Addresses)):
		return fmt.Errorf("lookup of %s: the answer is %s, expected: %s", p.Name, strings.Join(a.Addresses, " "), strings.Join(p.Expect, " "))
	}
	return nil
}

// sorted returns a set of texts, with each address in its usual form.
func sorted(texts []string) []string {
	texts = slices.Clone(texts)
	for i, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			texts[i] = address.Unmap().String()
		}
	}
	slices.Sort(texts)
	return slices.Compact(texts)
}

// Prepare starts the process and waits until it is ready and it is its turn to open a socket: neither is part of a lookup.
func (p *Lookup) Prepare(ctx context.Context, number int) (attempt func(context.Context) (Outcome, error), err error) {
	life, kill := context.WithCancel(ctx)
	var output, trouble bytes.Buffer
	name := p.Name
	if p.Fresh {
		name = freshName(name, number)
	}
	cmd := tool.Plain(life, "/proc/self/exe", "lookup-when-told", name, p.Family, p.Resolver)
	cmd.Stdout, cmd.Stderr = &output, &trouble
	own := 0
	if p.SourcePort > 0 {
		own = ownPort(p.SourcePort, number)
	}
	started, err := p.ports.prepare(life, cmd, own)
	if err != nil {
		kill()
		return nil, fmt.Errorf("lookup of %s: %w: %s", p.Name, err, bytes.TrimSpace(trouble.Bytes()))
	}
	return func(ctx context.Context) (Outcome, error) {
		defer kill()
		defer context.AfterFunc(ctx, kill)()
		outcome, err := started(ctx)
		if ctx.Err() != nil {
			return outcome, fmt.Errorf("lookup of %s: %w", p.Name, ctx.Err())
		}
		answer, err := p.answer(output.Bytes(), trouble.Bytes(), err)
		outcome.Seen, outcome.Took = strings.Join(answer.Addresses, " "), answer.Took
		return outcome, err
	}, nil
}

// Close has nothing to close.
func (p *Lookup) Close() error { return nil }

// LookUpWhenTold is the process of an attempt: it writes an empty line when it is ready, and looks the name up when it has read one.
func LookUpWhenTold(ctx context.Context, in io.Reader, out io.Writer, name, family, resolver string) (Answer, error) {
	_, err := fmt.Fprintln(out)
	if err == nil {
		_, err = bufio.NewReader(in).ReadString('\n')
	}
	if err != nil {
		return Answer{}, fmt.Errorf("lookup of %s: nobody said when: %w", name, err)
	}
	return LookUp(ctx, name, family, resolver), nil
}

// Answer is what the process of an attempt writes to its standard output, as JSON.
type Answer struct {
	Addresses []string
	// Took is the time of the lookup, without that of starting the process.
	Took time.Duration
	// Error is why there are no addresses. NotFound is whether the servers said that there are none.
	Error    string
	NotFound bool
}

// LookUp looks up the addresses of a name, of one family or of both, with Go's own resolver or the C library's.
func LookUp(ctx context.Context, name, family, resolver string) Answer {
	network := "ip"
	if family == "ipv4" {
		network = "ip4"
	}
	start := time.Now()
	addresses, err := (&net.Resolver{PreferGo: resolver == "go"}).LookupNetIP(ctx, network, name)
	answer := Answer{Took: time.Since(start)}
	for _, address := range addresses {
		answer.Addresses = append(answer.Addresses, address.Unmap().String())
	}
	if err != nil {
		answer.Error = err.Error()
		dns := (*net.DNSError)(nil)
		answer.NotFound = errors.As(err, &dns) && dns.IsNotFound
	}
	return answer
}
