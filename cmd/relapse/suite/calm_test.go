package suite

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/semaphore"
)

func TestNoClusterIsMadeWhileTheCPUsAreCrowded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		var now atomic.Int64
		c := &calm{Weighted: semaphore.NewWeighted(1), runnable: func() (float64, error) { return float64(now.Load()), nil }}
		ctx, cancel := context.WithCancel(t.Context())
		go c.watch(ctx)
		waits := func() time.Duration {
			start := time.Now()
			g.Expect(c.Acquire(ctx, 1)).To(Succeed())
			c.Release(1)
			return time.Since(start)
		}
		g.Expect(waits()).To(BeZero(), "the machine is calm")
		now.Store(1000)
		time.Sleep(10 * time.Second)
		g.Expect(waits()).To(Equal(calmLimit), "others keep it crowded")
		time.AfterFunc(3*time.Second, func() { now.Store(0) })
		g.Expect(waits()).To(And(BeNumerically(">", 3*time.Second), BeNumerically("<", calmLimit)), "until it is calm again")

		now.Store(1000)
		time.Sleep(10 * time.Second)
		time.AfterFunc(time.Second, cancel)
		g.Expect(c.Acquire(ctx, 1)).To(MatchError(context.Canceled))
		g.Expect(c.TryAcquire(1)).To(BeTrue(), "the turn was given back")
	})
}

func TestAMachineThatDoesNotTellIsCalm(t *testing.T) {
	g := NewWithT(t)
	c := &calm{Weighted: semaphore.NewWeighted(1), runnable: func() (float64, error) { return 0, errors.New("no /proc") }}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.watch(ctx)
	g.Expect(c.Acquire(t.Context(), 1)).To(Succeed())
}

func TestRunnable(t *testing.T) {
	g := NewWithT(t)
	now, err := runnable()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(now).To(BeNumerically(">=", 1), "this test runs")
}
