package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/harness/agent"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/probes"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// observe samples the probes between two readings, with readings in between for the picture.
func (l *lane) observe(ctx context.Context, p plan.Phase) error {
	stopCapture := l.capture(ctx, p)
	defer stopCapture()
	if err := l.readings(ctx, "begin"); err != nil {
		return err
	}
	between, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(readEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				// A reading in between is for the picture only; the judge takes the first and the last.
				_ = l.readings(between, "")
			case <-between.Done():
				return
			}
		}
	})
	err := l.sampleAll(ctx, p.Phase)
	cancel()
	watching.Wait()
	if err = errors.Join(err, l.readings(ctx, "end")); err != nil {
		return err
	}
	if p.Symptom {
		if err := l.waitForDetectors(ctx); err != nil {
			return err
		}
	}
	return l.collect(ctx, p)
}

// waitForDetectors gives detectors that speak late the time to do so, such as a message of the kernel that is limited to a
// few in five seconds over the whole machine. That one stays silent is for the judge to see.
func (l *lane) waitForDetectors(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, plan.DetectLimit)
	defer cancel()
	for {
		silent := l.silent()
		if len(silent) == 0 || ctx.Err() != nil {
			return nil
		}
		l.status(l.name, fmt.Sprintf("%s: waiting for detectors: %s", l.phase, strings.Join(silent, ", ")))
		rest(ctx)
		if err := l.readings(context.WithoutCancel(ctx), "end"); err != nil {
			return err
		}
	}
}

// silent lists the detectors of the variant that have not fired in this phase so far.
func (l *lane) silent() []string {
	l.mu.Lock()
	nodes, all := map[uint64]bool{}, map[uint64]bool{}
	for place, inode := range l.engine.run.Netns {
		if _, node, _ := strings.Cut(place, " "); strings.HasPrefix(node, "node/") {
			all[inode] = true
			nodes[inode] = strings.HasPrefix(place, l.name+" ")
		}
	}
	l.mu.Unlock()
	so := append(l.seen(), history.Event{T: l.history.Since(time.Now()), Lane: l.name, Phase: l.phase, Kind: history.PhaseEnd})
	window := detect.WindowOf(so, l.name, l.phase, l.variant.Symptom.Probe, nodes)
	var silent []string
	for _, d := range plan.Detectors(l.Scenario, l.variant, l.offered) {
		if d.Expect == scenario.ExpectSilent {
			continue
		}
		window.Nodes = nodes
		if _, wide := d.Use.Config.(detect.HostWide); wide {
			window.Nodes = all // as the judge takes it: the kernel's limit for its messages is over all of them
		}
		if detector, ok := d.Use.Config.(detect.Detector); ok && !detector.Decide(window).Fired {
			silent = append(silent, d.ID)
		}
	}
	return silent
}

func (l *lane) openProbes(ctx context.Context) error {
	for _, probe := range l.Scenario.ProbesOf(l.variant.ID) {
		conn, err := l.from(probe)
		if err != nil {
			return err
		}
		config, err := marshal(probe.Use.Config)
		if err != nil {
			return fmt.Errorf("probe %s: %w", probe.ID, err)
		}
		if _, err := probes.OpenProbe.Call(ctx, conn, probes.Opening{ID: probe.ID, Name: probe.Use.Name, Config: config}, nil); err != nil {
			return fmt.Errorf("probe %s: %w", probe.ID, err)
		}
	}
	return nil
}

func (l *lane) from(probe scenario.Probe) (*agent.Conn, error) {
	places, err := l.site.Resolve(probe.From)
	if err != nil {
		return nil, fmt.Errorf("probe %s: %w", probe.ID, err)
	}
	return l.site.Agent(places[0])
}

// sampleAll runs the foreground probes to their end, and the background ones for as long as that takes.
func (l *lane) sampleAll(ctx context.Context, phase scenario.Phase) error {
	background, cancel := context.WithCancel(ctx)
	defer cancel()
	var front, back sync.WaitGroup
	all := l.Scenario.ProbesOf(l.variant.ID)
	errs := make([]error, len(all))
	// Each phase has numbers of its own, the same for all probes.
	l.series++
	first := l.series * seriesNumbers
	for i, probe := range all {
		if probe.Background {
			back.Go(func() { errs[i] = l.sample(background, probe, first, 0) })
		} else {
			front.Go(func() { errs[i] = l.sample(ctx, probe, first, plan.Attempts(l.variant, probe, phase, l.Repeat)) })
		}
	}
	front.Wait()
	cancel()
	back.Wait()
	return errors.Join(errs...)
}

func (l *lane) sample(ctx context.Context, probe scenario.Probe, first, attempts int) error {
	return l.eachSample(ctx, probe, first, attempts, func(s probes.Sample) {
		start := l.history.Since(s.Start)
		l.add(history.Event{T: start + s.Took.Seconds(), Kind: history.KindSample, Sample: &history.Sample{
			Probe: probe.ID, Start: start, Took: s.Took.Seconds(), Error: s.Error, Detail: s.Seen,
		}})
	})
}

func (l *lane) eachSample(ctx context.Context, probe scenario.Probe, first, attempts int, each func(probes.Sample)) error {
	conn, err := l.from(probe)
	if err != nil {
		return err
	}
	sampling := probes.Sampling{ID: probe.ID, First: first, Attempts: attempts, Every: probe.Every.Std(), Timeout: probe.Timeout.Std()}
	_, err = probes.SampleProbe.Call(ctx, conn, sampling, each)
	if err != nil && attempts == 0 && ctx.Err() != nil && !errors.Is(err, agent.ErrGone) {
		return nil // a background probe ends by being cancelled
	}
	return err
}

// waitHealthy waits until every probe has succeeded several times in a row, and returns what kept one from that.
func (l *lane) waitHealthy(ctx context.Context) error {
	own := l.Scenario.ProbesOf(l.variant.ID)
	errs := make([]error, len(own))
	ctx, cancel := context.WithTimeout(ctx, plan.ReadyLimit)
	defer cancel()
	l.series++
	number := l.series * seriesNumbers
	var all sync.WaitGroup
	for i, probe := range own {
		all.Go(func() {
			begin, row, last := time.Now(), 0, "nothing"
			for try := 0; row < plan.ReadyInRow && ctx.Err() == nil; try++ {
				err := l.eachSample(ctx, probe, number+try, 1, func(s probes.Sample) {
					row++
					last = fmt.Sprintf("%d successes in a row", row)
					if s.Error != "" {
						row, last = 0, s.Error
					}
				})
				if err != nil {
					last = err.Error()
					break
				}
				if row == 0 {
					rest(ctx)
				}
			}
			l.add(history.Event{Kind: history.KindWait, Wait: &history.Wait{
				For: fmt.Sprintf("probe %s: %d successes in a row", probe.ID, plan.ReadyInRow), Last: last, Took: time.Since(begin).Seconds(), OK: row >= plan.ReadyInRow,
			}})
			if row < plan.ReadyInRow {
				errs[i] = fmt.Errorf("probe %s did not succeed %d times in a row within %s; last seen: %s", probe.ID, plan.ReadyInRow, plan.ReadyLimit, last)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// rest waits before the next look.
func rest(ctx context.Context) {
	t := time.NewTimer(pollEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// waitFor waits for readings, all within one limit. That one does not come is for the judge to see; one that nobody gives cannot
// come and is not waited for.
func (l *lane) waitFor(ctx context.Context, expectations []scenario.ReadingExpectation) error {
	if len(expectations) == 0 {
		return nil
	}
	start := time.Now()
	begin, err := l.take(ctx)
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, plan.EffectiveLimit)
	defer cancel()
	for _, expectation := range expectations {
		what, seen, ok := detect.WaitFor(expectation), "", false
		for {
			now, err := l.take(ctx)
			if err != nil {
				return err
			}
			if seen, ok = detect.ReadingNow(expectation, begin, now); ok || limited.Err() != nil || !detect.Given(expectation, now) {
				break
			}
			l.status(l.name, fmt.Sprintf("%s: waiting until %s; now %s", l.phase, what, seen))
			rest(limited)
		}
		l.add(history.Event{Kind: history.KindWait, Wait: &history.Wait{For: what, Last: seen, Took: time.Since(start).Seconds(), OK: ok}})
	}
	return nil
}
