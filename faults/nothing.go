package faults

import "context"

// Nothing changes nothing, at any place. Use it to check a scenario: with nothing in place of its fault a scenario must not pass, and
// with nothing in place of a remedy that remedy must fail. Its reading applied is 0.
type Nothing struct{}

// Apply does nothing.
func (*Nothing) Apply(context.Context, *Namespace) error { return nil }
