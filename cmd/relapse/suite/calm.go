package suite

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// crowded is how many programs per CPU may run or wait for a CPU, on average over the last second, before no more clusters are made.
	// With more, what a scenario measures is the machine: on 2 CPUs, 30 to 80 of them delayed answers by seconds.
	crowded = 4
	// calmLimit is how long a cluster waits for that: others may use the machine too, and do so for hours.
	calmLimit = 30 * time.Second
	lookEvery = 50 * time.Millisecond
	// weight of one look in the average, which is that of about the last second.
	weight = 0.05
)

// calm bounds how many clusters are made at a time, and makes none while the CPUs are crowded. So fewer lanes live at a time on a slow or
// busy machine.
type calm struct {
	*semaphore.Weighted
	// runnable is how many programs run or wait for a CPU now.
	runnable func() (float64, error)

	mu      sync.Mutex
	average float64
}

// watch keeps the average until ctx ends.
func (c *calm) watch(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if now, err := c.runnable(); err == nil { // else the last average stays, and each wait has a limit
			c.mu.Lock()
			c.average += weight * (now - c.average)
			c.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (c *calm) isCrowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.average > float64(crowded*runtime.NumCPU())
}

// Acquire waits for a turn, and then until the CPUs are not crowded, or for calmLimit.
func (c *calm) Acquire(ctx context.Context, n int64) error {
	if err := c.Weighted.Acquire(ctx, n); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	limit := time.After(calmLimit)
	for c.isCrowded() {
		select {
		case <-tick.C:
		case <-limit:
			return nil
		case <-ctx.Done():
			c.Release(n)
			return ctx.Err()
		}
	}
	return nil
}

// runnable reads it from /proc/loadavg, whose fourth field is RUNNABLE/ALL. Source: proc_loadavg(5).
func runnable() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	var now, all float64
	if len(fields) < 4 {
		return 0, fmt.Errorf("/proc/loadavg: %q", text)
	}
	if _, err := fmt.Sscanf(fields[3], "%g/%g", &now, &all); err != nil {
		return 0, fmt.Errorf("/proc/loadavg: %q: %w", text, err)
	}
	return now, nil
}
