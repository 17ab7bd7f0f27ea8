package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// progress tells a person how far a run is: a line when a lane has finished a phase, and on a terminal a last line that says what is
// going on.
type progress struct {
	mu     sync.Mutex
	out    io.Writer
	silent bool
	live   bool
	start  time.Time
	// doing is what each lane does now, samples what it has sampled in its phase.
	doing   map[string]string
	samples map[string][]history.Sample
	stop    chan struct{}
	stopped chan struct{}
}

func newProgress(out io.Writer, silent bool) *progress {
	p := &progress{
		out: out, silent: silent, live: !silent && isTerminal(out), start: time.Now(),
		doing: map[string]string{}, samples: map[string][]history.Sample{}, stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	go p.tick()
	return p
}

func (p *progress) begin(s *scenario.Scenario, seed uint64) {
	if !p.silent {
		fmt.Fprintf(p.out, "%s: %s (seed %d)\n", s.Metadata.ID, s.Metadata.Title, seed)
	}
}

// tick redraws the last line, so that the time goes on.
func (p *progress) tick() {
	defer close(p.stopped)
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			p.mu.Lock()
			p.draw()
			p.mu.Unlock()
		case <-p.stop:
			return
		}
	}
}

func (p *progress) end() {
	close(p.stop)
	<-p.stopped
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	p.live = false
}

// watch sees every event of the history.
func (p *progress) watch(e history.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Kind == history.PhaseBegin:
		p.samples[e.Lane] = nil
	case e.Kind == history.KindSample:
		p.samples[e.Lane] = append(p.samples[e.Lane], *e.Sample)
	case e.Kind == history.PhaseEnd:
		p.line("%7.1fs  %-32s %-30s %s", e.T, e.Lane, e.Phase, summarize(p.samples[e.Lane]))
	case e.Kind == history.KindError:
		p.line("%7.1fs  %-32s %s", e.T, e.Lane, e.Text)
	case e.Kind == history.KindWait && !e.Wait.OK:
		p.line("%7.1fs  %-32s %-30s did not come: %s (last seen: %s)", e.T, e.Lane, e.Phase, e.Wait.For, e.Wait.Last)
	}
}

// summarize is what a phase's samples say, probe by probe.
func summarize(samples []history.Sample) string {
	byProbe := map[string][]history.Sample{}
	for _, s := range samples {
		byProbe[s.Probe] = append(byProbe[s.Probe], s)
	}
	var parts []string
	for _, probe := range slices.Sorted(maps.Keys(byProbe)) {
		sum := detect.Summarize(byProbe[probe])
		text := fmt.Sprintf("%d %s %s", sum.Count, probe, detect.Seconds(sum.P50))
		if sum.Failed > 0 {
			text = fmt.Sprintf("%d %s, %d failed", sum.Count, probe, sum.Failed)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// status hears what a lane is doing; nothing means that it is done.
func (p *progress) status(lane, doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if doing == "" {
		delete(p.doing, lane)
	} else {
		p.doing[lane] = doing
	}
	p.draw()
}

func (p *progress) line(format string, args ...any) {
	if p.silent {
		return
	}
	p.erase()
	text := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	fmt.Fprintln(p.out, text)
	p.draw()
}

func (p *progress) erase() {
	if p.live {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *progress) draw() {
	if !p.live || len(p.doing) == 0 {
		return
	}
	var parts []string
	for _, lane := range slices.Sorted(maps.Keys(p.doing)) {
		_, branch, _ := strings.Cut(lane, "/")
		parts = append(parts, branch+": "+p.doing[lane])
	}
	text := fmt.Sprintf("%7.1fs  %s", time.Since(p.start).Seconds(), strings.Join(parts, " | "))
	if runes := []rune(text); len(runes) >= width(p.out) {
		text = string(runes[:width(p.out)-2]) + "…"
	}
	p.erase()
	fmt.Fprint(p.out, text)
}

// prompt writes for a person, past the last line.
func (p *progress) prompt() io.Writer { return prompter{p} }

type prompter struct{ *progress }

func (p prompter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	clear(p.doing) // whoever looks around does not want the screen to move
	return p.out.Write(text)
}
