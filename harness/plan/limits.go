package plan

import (
	"fmt"
	"time"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Before the baseline and after the fault, every probe must succeed ReadyInRow times one after the other: enough that each backend of a
// Service has had its turn. Attempts so slow that this takes longer must succeed for ReadyFor, and at least ReadyAtLeast times. They do not
// wait for the probe's every.
const (
	ReadyInRow   = 10
	ReadyAtLeast = 5
	ReadyFor     = 5 * time.Second
)

// ReadyText says that in words.
var ReadyText = fmt.Sprintf("%d successes in a row, or successes for %s", ReadyInRow, ReadyFor)

// ReadyBegin is how long a probe may take until these attempts begin: 15 s, or three attempts that time out. Once they have begun, only
// the time-out of each limits them, so that a probe may be as slow as it is when it is well.
func ReadyBegin(p scenario.Probe) time.Duration { return max(15*time.Second, 3*p.Timeout.Std()) }

// Row is how many times a probe has succeeded one after the other, and for how long.
type Row struct {
	Times int
	For   time.Duration
}

// Ready is whether that is enough.
func (r Row) Ready() bool {
	return r.Times >= ReadyInRow || r.Times >= ReadyAtLeast && r.For >= ReadyFor
}

// AwaitReady is whether another attempt is made of a probe that has been waited for since a time.
func AwaitReady(p scenario.Probe, r Row, since time.Duration) bool {
	return !r.Ready() && (r.Times > 0 || since < ReadyBegin(p))
}

// How long a lane waits.
const (
	// EffectiveLimit bounds the wait for a change to take effect.
	EffectiveLimit = 30 * time.Second
	// DetectLimit bounds the wait for detectors; the kernel's own limit for its messages is a few in 5 s.
	DetectLimit = 7 * time.Second
)
