package await_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/clusters/agent/await"
)

func TestUntil(t *testing.T) {
	noRoute, broken := errors.New("no route"), errors.New("broken")
	type seen struct {
		missing string
		err     error
	}
	hangs := seen{err: context.DeadlineExceeded}
	for name, row := range map[string]struct {
		// looks follow each other; the last one is repeated. One that hangs ends with ctx.
		looks []seen
		// limit is 2.5 s where it is 0; a cancelled ctx has ended from the beginning.
		limit     time.Duration
		cancelled bool
		want      string
		took      time.Duration
	}{
		"at once":                            {looks: []seen{{}}},
		"at the third look":                  {looks: []seen{{missing: "a"}, {err: noRoute}, {}}, took: 2 * time.Second},
		"never":                              {looks: []seen{{missing: "one pod"}, {missing: "two pods"}}, want: "timed out after 2.5s; last seen: two pods", took: 2500 * time.Millisecond},
		"the last look fails":                {looks: []seen{{missing: "two pods"}, {err: noRoute}}, want: "timed out after 2.5s; last seen: no route", took: 2500 * time.Millisecond},
		"the limit ends the last look":       {looks: []seen{{missing: "two pods"}, hangs}, want: "timed out after 2.5s; last seen: two pods", took: 2500 * time.Millisecond},
		"the limit ends the only look":       {looks: []seen{hangs}, want: "timed out after 2.5s; last seen: context deadline exceeded", took: 2500 * time.Millisecond},
		"an error that no waiting helps":     {looks: []seen{{missing: "two pods"}, {err: await.Stop(broken)}}, want: "broken", took: time.Second},
		"nothing to stop for":                {looks: []seen{{err: await.Stop(nil)}}},
		"ctx has ended":                      {looks: []seen{{missing: "two pods"}}, cancelled: true, want: "interrupted; last seen: two pods"},
		"ctx has ended, and nothing missing": {looks: []seen{{}}, cancelled: true},
		"no limit":                           {looks: []seen{{missing: "a"}, {missing: "a"}, {missing: "a"}, {missing: "a"}, {}}, limit: -1, took: 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := NewWithT(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if row.cancelled {
					cancel(errors.New("interrupted"))
				}
				limit := row.limit
				switch limit {
				case 0:
					limit = 2500 * time.Millisecond
				case -1:
					limit = 0
				}
				start, n := time.Now(), 0
				err := await.Until(ctx, limit, time.Second, func(ctx context.Context) (string, error) {
					now := row.looks[min(n, len(row.looks)-1)]
					n++
					if now == hangs {
						<-ctx.Done()
					}
					return now.missing, now.err
				})
				g.Expect(time.Since(start)).To(Equal(row.took))
				if row.want == "" {
					g.Expect(err).NotTo(HaveOccurred())
					return
				}
				g.Expect(err).To(MatchError(row.want))
			})
		})
	}
}

func TestUnmetIsBoth(t *testing.T) {
	g := NewWithT(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	interrupted, noRoute := errors.New("interrupted"), errors.New("no route")
	cancel(interrupted)
	err := await.Until(ctx, time.Minute, time.Second, func(context.Context) (string, error) { return "", noRoute })
	g.Expect(err).To(And(MatchError(interrupted), MatchError(noRoute)))
	g.Expect(errors.As(err, new(*await.Unmet))).To(BeTrue())
	err = await.Until(ctx, time.Minute, time.Second, func(context.Context) (string, error) { return "", await.Stop(noRoute) })
	g.Expect(errors.As(err, new(*await.Unmet))).To(BeFalse())
}
