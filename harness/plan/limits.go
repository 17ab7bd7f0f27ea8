package plan

import "time"

// How long a lane waits.
const (
	// ReadyLimit bounds the wait for a healthy cluster before the baseline and after the fault; ReadyInRow is how many attempts
	// of every probe must succeed one after the other: enough that each backend of a Service has had its turn.
	ReadyLimit = 15 * time.Second
	ReadyInRow = 10
	// EffectiveLimit bounds the wait for a change to take effect.
	EffectiveLimit = 30 * time.Second
	// DetectLimit bounds the wait for detectors; the kernel's own limit for its messages is a few in 5 s.
	DetectLimit = 7 * time.Second
)
