package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/clusters/agent"
	"github.com/relapse-k8s/relapse/clusters/agent/await"
	"github.com/relapse-k8s/relapse/clusters/agent/probes"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/plan"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// observe samples the probes between two sets of readings, with more readings meanwhile for the picture.
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
				// These are for the picture only; the judge takes the first and the last.
				_ = l.readings(between, "")
			case <-between.Done():
				return
			}
		}
	})
	err := l.attempts(ctx, p)
	cancel()
	watching.Wait()
	if err = errors.Join(err, l.readings(ctx, "end")); err != nil {
		return err
	}
	if p.Symptom {
		if err := l.waitForDetectors(ctx, p); err != nil {
			return err
		}
	}
	return l.collect(ctx, p)
}

// waitForDetectors gives detectors the time to fire that fire late, such as on a message of which the kernel prints only a few in five
// seconds on the whole machine. If one stays silent, that is for the judge to see.
func (l *lane) waitForDetectors(ctx context.Context, p plan.Phase) error {
	err := await.Until(ctx, plan.DetectLimit, pollEvery, func(ctx context.Context) (string, error) {
		silent := l.silent(p)
		if len(silent) == 0 {
			return "", nil
		}
		waiting := "waiting for detectors: " + strings.Join(silent, ", ")
		l.status(l.name, l.phase+": "+waiting)
		return waiting, await.Stop(l.readings(context.WithoutCancel(ctx), "end"))
	})
	if unmet := (*await.Unmet)(nil); errors.As(err, &unmet) {
		return nil
	}
	return err
}

// silent lists the detectors of the variant that have not fired in this phase so far.
func (l *lane) silent(p plan.Phase) []string {
	l.mu.Lock()
	nodes, all := map[uint64]bool{}, map[uint64]bool{}
	for place, inode := range l.facts.Netns {
		if _, node, _ := strings.Cut(place, " "); strings.HasPrefix(node, "node/") {
			all[inode] = true
			nodes[inode] = strings.HasPrefix(place, l.name+" ")
		}
	}
	l.mu.Unlock()
	events := append(l.seen(), history.Event{T: l.history.Since(time.Now()), Lane: l.name, Phase: l.phase, Kind: history.PhaseEnd})
	window := detect.WindowOf(events, l.name, l.phase, l.variant.Symptom.Probe, p.Proof, nodes)
	var silent []string
	for _, d := range plan.Detectors(l.Scenario, l.variant, l.offered) {
		if d.Expect == scenario.ExpectSilent {
			continue
		}
		window.Nodes = nodes
		if _, wide := d.Use.Config.(detect.HostWide); wide {
			window.Nodes = all // as the judge does: the kernel's limit for its messages is for all nodes together
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
		config, err := l.configOf(probe)
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

// attempts samples the probes, and again until the fault has met as many attempts of the symptom's probe as the phase needs, within a limit.
// Every attempt is in the history.
func (l *lane) attempts(ctx context.Context, p plan.Phase) error {
	probes := l.Scenario.ProbesOf(l.variant.ID)
	symptom := slices.IndexFunc(probes, func(probe scenario.Probe) bool { return probe.ID == l.variant.Symptom.Probe })
	counts := make([]int, len(probes))
	for i, probe := range probes {
		counts[i] = plan.Attempts(l.variant, probe, p.Phase, l.Repeat)
	}
	wanted := counts[symptom]
	for i, probe := range probes {
		if probe.Attempts == probes[symptom].Attempts {
			counts[i] = wanted // also if that is not the scenario's own number: some probes work in pairs
		}
	}
	limit := plan.AttemptLimit(wanted)
	making, cancel := context.WithCancel(ctx)
	defer cancel()
	made := l.during(making, p.During)
	err := l.sampleUntil(ctx, p, counts, wanted, limit)
	if err != nil {
		cancel()
	}
	return errors.Join(err, made())
}

// during makes steps when their time has come, while samples are taken. The function that it returns waits until all are made.
func (l *lane) during(ctx context.Context, steps []scenario.Step) (wait func() error) {
	begin := time.Now()
	steps = slices.SortedStableFunc(slices.Values(steps), func(a, b scenario.Step) int { return cmp.Compare(a.After, b.After) })
	done := make(chan error, 1)
	go func() {
		for _, step := range steps {
			due := time.NewTimer(time.Until(begin.Add(step.After.Std())))
			select {
			case <-due.C:
			case <-ctx.Done():
				due.Stop()
				done <- nil // why is known
				return
			}
			if err := l.change(step, "apply", l.site.Apply(ctx, step)); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() error { return <-done }
}

// sampleUntil samples the probes until there are as many trials as are wanted, or as many attempts as the limit.
func (l *lane) sampleUntil(ctx context.Context, p plan.Phase, counts []int, wanted, limit int) error {
	for {
		if err := errors.Join(l.sampleAll(ctx, counts), l.meetings(ctx)); err != nil {
			return err
		}
		w := detect.WindowOf(l.seen(), l.name, l.phase, l.variant.Symptom.Probe, p.Proof, nil)
		made := w.Attempts + len(w.Missed)
		more := min(wanted-w.Attempts, limit-made)
		if more <= 0 || len(w.Missed) == 0 {
			return nil
		}
		for i := range counts {
			counts[i] = more // of every probe, for the same reason
		}
		l.status(l.name, fmt.Sprintf("%s: the fault met %d of %d attempts, making more", l.phase, w.Attempts, made))
	}
}

// meetings asks the changes that are applied which flows they have acted on.
func (l *lane) meetings(ctx context.Context) error {
	for _, id := range l.steps() {
		byPlace, err := l.site.Meetings(context.WithoutCancel(ctx), id)
		if err != nil {
			return err
		}
		for _, place := range slices.Sorted(maps.Keys(byPlace)) {
			said := byPlace[place]
			if said.Trouble != "" {
				l.add(history.Event{Kind: history.KindNote, Text: fmt.Sprintf("change %s on %s: %s", id, place, said.Trouble)})
			}
			if !said.Known {
				continue
			}
			met := &history.Met{ID: id, On: place}
			for _, flow := range said.Flows {
				met.Flows = append(met.Flows, history.Meeting{
					T: l.history.Since(flow.At), Flow: flow.Flow, Ports: []int{int(flow.Ports[0]), int(flow.Ports[1])},
				})
			}
			l.add(history.Event{Kind: history.KindMet, Met: met})
		}
	}
	return nil
}

// sampleAll makes as many attempts of each probe as counts says, and those of background probes for as long as that takes.
func (l *lane) sampleAll(ctx context.Context, counts []int) error {
	background, cancel := context.WithCancel(ctx)
	defer cancel()
	var front, back sync.WaitGroup
	all := l.Scenario.ProbesOf(l.variant.ID)
	errs := make([]error, len(all))
	made := make([]int, len(all))
	for i, probe := range all {
		if probe.Background {
			back.Go(func() { made[i], errs[i] = l.sample(background, probe, l.next, 0) })
		} else {
			front.Go(func() { made[i], errs[i] = l.sample(ctx, probe, l.next, counts[i]) })
		}
	}
	front.Wait()
	cancel()
	back.Wait()
	l.next += slices.Max(append(made, 0))
	return errors.Join(errs...)
}

func (l *lane) sample(ctx context.Context, probe scenario.Probe, first, attempts int) (made int, err error) {
	return l.eachSample(ctx, probe, first, attempts, func(s probes.Sample) {
		sample := &history.Sample{Probe: probe.ID, Start: l.history.Since(s.Start), Took: s.Took.Seconds(), Error: s.Error, Detail: s.Seen, By: s.By}
		if s.Ports[0] > 0 {
			sample.Ports = []int{int(s.Ports[0]), int(s.Ports[1])}
		}
		l.add(history.Event{T: l.history.Since(s.End), Kind: history.KindSample, Sample: sample})
	})
}

func (l *lane) eachSample(ctx context.Context, probe scenario.Probe, first, attempts int, each func(probes.Sample)) (made int, err error) {
	conn, err := l.from(probe)
	if err != nil {
		return 0, err
	}
	sampling := probes.Sampling{ID: probe.ID, First: first, Attempts: attempts, Every: probe.Every.Std(), Timeout: probe.Timeout.Std()}
	made, err = probes.SampleProbe.Call(ctx, conn, sampling, each)
	if err != nil && attempts == 0 && ctx.Err() != nil && !errors.Is(err, agent.ErrGone) {
		return made, nil // a background probe ends by being cancelled
	}
	return made, err
}

// waitHealthy waits until every probe is ready; the error says which is not, and why.
func (l *lane) waitHealthy(ctx context.Context) error {
	own := l.Scenario.ProbesOf(l.variant.ID)
	errs := make([]error, len(own))
	tries := make([]int, len(own))
	var all sync.WaitGroup
	for i, probe := range own {
		all.Go(func() {
			begin, last := time.Now(), "nothing"
			var row plan.Row
			for rowSince := begin; ctx.Err() == nil && plan.AwaitReady(probe, row, time.Since(begin)); tries[i]++ {
				if row.Times == 0 {
					rowSince = time.Now()
				}
				_, err := l.eachSample(ctx, probe, l.next+tries[i], 1, func(s probes.Sample) {
					row = plan.Row{Times: row.Times + 1, For: time.Since(rowSince)}
					last = fmt.Sprintf("%d successes in a row", row.Times)
					if s.Error != "" {
						row, last = plan.Row{}, s.Error
					}
				})
				if err != nil {
					last = err.Error()
					break
				}
				if row.Times == 0 {
					rest(ctx)
				}
			}
			l.add(history.Event{Kind: history.KindWait, Wait: &history.Wait{
				For: fmt.Sprintf("probe %s: %s", probe.ID, plan.ReadyText), Last: last, Took: time.Since(begin).Seconds(), OK: row.Ready(),
			}})
			if !row.Ready() {
				errs[i] = fmt.Errorf("probe %s did not have %s, beginning within %s; last seen: %s", probe.ID, plan.ReadyText, plan.ReadyBegin(probe), last)
			}
		})
	}
	all.Wait()
	l.next += slices.Max(append(tries, 0))
	return errors.Join(errs...)
}

// rest waits until the next check.
func rest(ctx context.Context) {
	t := time.NewTimer(pollEvery)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// waitFor waits for readings, all within one limit. If one is not as expected by then, that is for the judge to see. One that no reader
// gives is not waited for.
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
