package website

import "time"

// stale is whether nothing new came of an environment for too long: what its pages say may be true no more.
func (b *builder) stale(e *environment) bool { return b.old(e.newest().end) }

func (b *builder) old(t time.Time) bool { return b.Now.Sub(t) > b.Stale }
