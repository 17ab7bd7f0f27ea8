package probes

import (
	"context"
	"net"
)

// Connect opens a new TCP connection and closes it again.
type Connect struct {
	// To is host:port.
	To string `json:"to"`
}

// Validate checks the form of the address.
func (p *Connect) Validate() error {
	_, _, err := net.SplitHostPort(p.To)
	return err
}

// Attempt connects.
func (p *Connect) Attempt(ctx context.Context, _ int) (Outcome, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.To)
	if err != nil {
		return Outcome{}, err
	}
	seen := conn.LocalAddr().String() + " > " + conn.RemoteAddr().String()
	return Outcome{Seen: seen}, conn.Close()
}

// Close has nothing to end.
func (p *Connect) Close() error { return nil }
