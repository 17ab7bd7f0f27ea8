package plan

import (
	"time"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// ReadyInRow is how many attempts of every probe must succeed one after the other before the baseline and after the fault: enough that
// each backend of a Service has had its turn. They do not wait for the probe's every.
const ReadyInRow = 10

// ReadyBegin is how long a probe may take until these attempts begin: 15 s, or three attempts that time out. Once they have begun, only
// the time-out of each limits them, so that a probe may be as slow as it is when it is well.
func ReadyBegin(p scenario.Probe) time.Duration { return max(15*time.Second, 3*p.Timeout.Std()) }

// AwaitReady is whether another attempt is made of a probe that has succeeded inRow times up to now, since it is waited for.
func AwaitReady(p scenario.Probe, inRow int, since time.Duration) bool {
	return inRow < ReadyInRow && (inRow > 0 || since < ReadyBegin(p))
}

// How long a lane waits.
const (
	// EffectiveLimit bounds the wait for a change to take effect.
	EffectiveLimit = 30 * time.Second
	// DetectLimit bounds the wait for detectors; the kernel's own limit for its messages is a few in 5 s.
	DetectLimit = 7 * time.Second
)
