package probes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
)

// Lookup looks a name up through the C library's getaddrinfo, for IPv4 and IPv6 addresses, as most programs do: two queries
// from one socket, back to back. Each attempt is a process of its own, because glibc remembers within a thread that an answer
// was lost and from then on asks one query at a time, which hides the failure from a program that lives on.
// Source: glibc resolv/res_send.c (send_dg, RES_SNGLKUP).
type Lookup struct {
	// Name to look up. Without a dot at its end the search domains of the pod's resolv.conf apply.
	Name string `json:"name"`
	// Family is ipv4 where only the IPv4 address is asked for, in one query. Default: both addresses.
	Family string `json:"family,omitempty" jsonschema:"enum=ipv4"`
	// SourcePort, where given, is the first of 10000 source ports, of which each attempt takes its own: two probes with the same
	// one use the same ports at the same time. It needs family ipv4, because there is one port only. Default: the kernel's own choice.
	SourcePort int `json:"sourcePort,omitempty" jsonschema:"minimum=1024,maximum=55000"`

	ports freshPorts
}

// Validate refuses one port for two sockets.
func (p *Lookup) Validate() error {
	if p.SourcePort > 0 && p.Family != "ipv4" {
		return errors.New("sourcePort needs family: ipv4")
	}
	return nil
}

// Begin gives the attempts of a series fresh source ports.
func (p *Lookup) Begin() (end func() error, err error) { return p.ports.begin() }

// Attempt looks the name up in a process of its own.
func (p *Lookup) Attempt(ctx context.Context, number int) (Outcome, error) {
	var output, trouble bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "lookup", p.Name, p.Family)
	cmd.Stdout, cmd.Stderr = &output, &trouble
	wait, err := p.start(ctx, cmd, number)
	if err == nil {
		err = wait()
	}
	seen := Outcome{Seen: strings.TrimSpace(output.String())}
	switch {
	case ctx.Err() != nil:
		return seen, fmt.Errorf("lookup of %s: %w", p.Name, ctx.Err())
	case err != nil && trouble.Len() > 0:
		return seen, errors.New(strings.TrimSpace(trouble.String()))
	}
	return seen, err
}

// start starts an attempt's process with ports to choose from, and returns how to wait for its end.
func (p *Lookup) start(ctx context.Context, cmd *exec.Cmd, number int) (wait func() error, err error) {
	if p.SourcePort > 0 {
		return p.ports.startWith(ctx, cmd, ownPort(p.SourcePort, number))
	}
	if err := p.ports.move(); err != nil {
		return nil, err
	}
	return cmd.Wait, cmd.Start()
}

// Close has nothing to end.
func (p *Lookup) Close() error { return nil }

// LookUp is the process of an attempt: it returns the addresses of a name, of one family or of both.
func LookUp(ctx context.Context, name, family string) (string, error) {
	network := "ip"
	if family == "ipv4" {
		network = "ip4"
	}
	addresses, err := (&net.Resolver{PreferGo: false}).LookupNetIP(ctx, network, name)
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.Unmap().String()
	}
	return strings.Join(texts, " "), err
}
