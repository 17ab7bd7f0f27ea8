package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// progress tells a person how far a run is: a line when a lane has finished a phase, and on a terminal a block below that says
// what each lane is at, which is gone when the run is over.
type progress struct {
	*screen
	silent bool
	// column is the width of the lanes' names.
	column int
	lanes  map[string]*atWork
}

// atWork is a lane in its phase. Where it does nothing it is not shown.
type atWork struct {
	phase, doing string
	samples      []history.Sample
}

func newProgress(out io.Writer, silent bool) *progress {
	p := &progress{screen: newScreen(out, !silent && isTerminal(out)), silent: silent, lanes: map[string]*atWork{}}
	p.screen.rows = p.rows
	go p.tick()
	return p
}

func (p *progress) begin(s *scenario.Scenario, seed uint64) {
	for _, v := range s.Variants {
		for _, r := range s.Remedies {
			p.column = max(p.column, len(v.ID+"/"+r.ID))
		}
		for _, c := range s.Controls {
			p.column = max(p.column, len(v.ID+"/"+c.ID))
		}
	}
	p.column = min(p.column, 34) // for the rest to fit a terminal
	if !p.silent {
		p.write("", fmt.Sprintf("%s: %s (seed %d)", s.Metadata.ID, s.Metadata.Title, seed))
	}
}

func (p *progress) lane(name string) *atWork {
	if p.lanes[name] == nil {
		p.lanes[name] = &atWork{}
	}
	return p.lanes[name]
}

// watch sees every event of the history.
func (p *progress) watch(e history.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Kind == history.PhaseBegin:
		*p.lane(e.Lane) = atWork{phase: e.Phase, doing: e.Phase}
	case e.Kind == history.KindChange:
		p.lane(e.Lane).doing = e.Phase // it is made: what follows says what it does, or samples
	case e.Kind == history.KindSample:
		lane := p.lane(e.Lane)
		lane.samples = append(lane.samples, *e.Sample)
	case e.Kind == history.PhaseEnd:
		p.line(e, summarize(p.lane(e.Lane).samples))
	case e.Kind == history.KindError:
		p.line(e, "broke down: "+e.Text)
	case e.Kind == history.KindWait && !e.Wait.OK:
		p.line(e, fmt.Sprintf("did not come: %s (last seen: %s)", e.Wait.For, e.Wait.Last))
	}
}

// summarize is what a phase's samples say, probe by probe: "25 × lookup, p50 5.01 s".
func summarize(samples []history.Sample) string {
	byProbe := map[string][]history.Sample{}
	for _, s := range samples {
		byProbe[s.Probe] = append(byProbe[s.Probe], s)
	}
	var parts []string
	for _, probe := range slices.Sorted(maps.Keys(byProbe)) {
		sum := detect.Summarize(byProbe[probe])
		text := fmt.Sprintf("%d × %s, p50 %s", sum.Count, probe, detect.Seconds(sum.P50))
		if sum.Failed > 0 {
			text += fmt.Sprintf(", %d failed", sum.Failed)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// status hears what a lane is doing; nothing means that it is done.
func (p *progress) status(lane, doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lane(lane).doing = doing
	p.draw()
}

// line tells of an event for good.
func (p *progress) line(e history.Event, text string) {
	if p.silent {
		return
	}
	p.erase()
	p.write(p.lead(fmt.Sprintf("%.1fs", e.T), e.Lane, e.Phase), text)
	p.draw()
}

// lead is the columns of a line: when, which lane, which phase. A lane is named after its remedy or control: to say remedy is enough.
func (p *progress) lead(when, lane, phase string) string {
	kind, _, _ := strings.Cut(phase, "/")
	return fmt.Sprintf("%7s  %-*s  %-8s  ", when, p.column, lane, kind)
}

// rows are the lines of the block: one for each lane, as far as they fit, and one with the time.
func (p *progress) rows(elapsed time.Duration, width, height int) []string {
	var rows []string
	for _, name := range slices.Sorted(maps.Keys(p.lanes)) {
		lane := p.lanes[name]
		if lane.doing == "" {
			continue
		}
		doing := strings.TrimPrefix(strings.TrimPrefix(lane.doing, lane.phase), ": ")
		if doing == "" {
			doing = "sampling"
		}
		if n := len(lane.samples); n > 0 {
			doing += fmt.Sprintf(", %d × %s", n, lane.samples[n-1].Probe)
		}
		rows = append(rows, p.lead("…", name, lane.phase)+doing)
	}
	if len(rows) == 0 {
		return nil
	}
	left := fmt.Sprintf("%d lanes at work", len(rows))
	if len(rows) == 1 {
		left = "1 lane at work"
	}
	return fit(rows, fmt.Sprintf("%6.1fs  %s; Ctrl-C ends the run and undoes everything", elapsed.Seconds(), left), width, height)
}

// prompt writes for a person, past the block.
func (p *progress) prompt() io.Writer { return prompter{p} }

type prompter struct{ *progress }

func (p prompter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	for _, lane := range p.lanes {
		lane.doing = "" // whoever looks around does not want the screen to move
	}
	return p.out.Write(text)
}

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colored is whether colours are wanted: see no-color.org.
func colored(w any) bool { return isTerminal(w) && os.Getenv("NO_COLOR") == "" }

// width of the terminal, or 80.
func width(w any) int {
	if file, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(file.Fd())); err == nil && columns > 20 {
			return columns
		}
	}
	return 80
}

// height of the terminal, or 24.
func height(w any) int {
	if file, ok := w.(*os.File); ok {
		if _, rows, err := term.GetSize(int(file.Fd())); err == nil && rows > 3 {
			return rows
		}
	}
	return 24
}
