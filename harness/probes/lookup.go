package probes

import (
	"context"
	"net"
	"strings"
)

// Lookup looks a name up through the C library's getaddrinfo, for IPv4 and IPv6 addresses, as most programs do: two queries
// from one socket, back to back.
type Lookup struct {
	// Name to look up. Without a dot at its end the search domains of the pod's resolv.conf apply.
	Name string `json:"name"`
}

// Attempt looks the name up.
func (p *Lookup) Attempt(ctx context.Context) (string, error) {
	// A resolver of its own for each attempt, because one resolver makes a single lookup of those under way for one name.
	resolver := &net.Resolver{PreferGo: false}
	addresses, err := resolver.LookupNetIP(ctx, "ip", p.Name)
	texts := make([]string, len(addresses))
	for i, address := range addresses {
		texts[i] = address.Unmap().String()
	}
	return strings.Join(texts, " "), err
}

// Close has nothing to end.
func (p *Lookup) Close() error { return nil }
