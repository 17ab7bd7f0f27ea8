package probes

import (
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

	ports freshPorts
}

// Begin gives the attempts of a series fresh source ports.
func (p *Lookup) Begin() (end func() error, err error) { return p.ports.begin() }

// Attempt looks the name up in a process of its own.
func (p *Lookup) Attempt(ctx context.Context, _ int) (Outcome, error) {
	if err := p.ports.move(); err != nil {
		return Outcome{}, err
	}
	output, err := exec.CommandContext(ctx, "/proc/self/exe", "lookup", p.Name).Output()
	seen := Outcome{Seen: strings.TrimSpace(string(output))}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return seen, fmt.Errorf("lookup of %s: %w", p.Name, ctx.Err())
	case errors.As(err, &exit) && len(exit.Stderr) > 0:
		return seen, errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return seen, err
}

// Close has nothing to end.
func (p *Lookup) Close() error { return nil }

// LookUp is the process of an attempt: it returns the addresses of a name.
func LookUp(ctx context.Context, name string) (string, error) {
	addresses, err := (&net.Resolver{PreferGo: false}).LookupNetIP(ctx, "ip", name)
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.Unmap().String()
	}
	return strings.Join(texts, " "), err
}
