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

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/detect"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// progress shows how far a run is: a line when a lane has finished a phase, and on a terminal a block below with what each lane
// is doing. The block is erased when the run is over.
type progress struct {
	*screen
	silent bool
	// column is the width of the lanes' names.
	column int
	lanes  map[string]*atWork
	// told are the causes that were printed: each lane may end of the same one.
	told map[string]bool
}

// atWork is a lane in its phase. It is not shown if doing is empty.
type atWork struct {
	phase, doing string
	samples      []history.Sample
}

func newProgress(out io.Writer, silent bool) *progress {
	p := &progress{screen: newScreen(out, !silent && isTerminal(out)), silent: silent, lanes: map[string]*atWork{}, told: map[string]bool{}}
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
	p.column = min(p.column, 34) // so that the rest fits a terminal
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

// watch is called for every event of the history.
func (p *progress) watch(e history.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Kind == history.PhaseBegin:
		*p.lane(e.Lane) = atWork{phase: e.Phase, doing: e.Phase}
	case e.Kind == history.KindChange:
		p.lane(e.Lane).doing = e.Phase // the change is made; if no other status follows, the lane is sampling
	case e.Kind == history.KindSample:
		lane := p.lane(e.Lane)
		lane.samples = append(lane.samples, *e.Sample)
	case e.Kind == history.PhaseEnd:
		p.line(e, summarize(p.lane(e.Lane).samples))
	case e.Kind == history.KindError:
		p.once(e, "error: "+e.Text)
	case e.Kind == history.KindWait && !e.Wait.OK:
		p.once(e, fmt.Sprintf("timed out waiting for %s (last seen: %s)", e.Wait.For, e.Wait.Last))
	}
}

// summarize sums up a phase's samples for each probe: "25 × lookup, p50 5.01 s".
func summarize(samples []history.Sample) string {
	byProbe := map[string][]history.Sample{}
	for _, s := range samples {
		byProbe[s.Probe] = append(byProbe[s.Probe], s)
	}
	var parts []string
	for _, probe := range slices.Sorted(maps.Keys(byProbe)) {
		sum := detect.Summarize(byProbe[probe])
		text := fmt.Sprintf("%d × %s, p50 %s", sum.Count, probe, units.Seconds(sum.P50))
		if sum.Failed > 0 {
			text += fmt.Sprintf(", %d failed", sum.Failed)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

// status sets what a lane is doing; an empty text means that the lane has ended.
func (p *progress) status(lane, doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lane(lane).doing = doing
	p.draw()
}

// once prints a line, unless another lane has said the same. The report at the end says how often it was.
func (p *progress) once(e history.Event, text string) {
	cause := reports.Cause(text, append(slices.Collect(maps.Keys(p.lanes)), e.Lane))
	if !p.told[cause] {
		p.told[cause] = true
		p.line(e, text)
	}
}

// line prints a line that is not erased.
func (p *progress) line(e history.Event, text string) {
	if p.silent {
		return
	}
	p.erase()
	p.write(p.lead(fmt.Sprintf("%.1fs", e.T), e.Lane, e.Phase), text)
	p.draw()
}

// lead returns the first columns of a line: time, lane, phase. The lane's name has the id of its remedy or control, so the phase
// needs only its kind.
func (p *progress) lead(when, lane, phase string) string {
	kind, _, _ := strings.Cut(phase, "/")
	return fmt.Sprintf("%7s  %-*s  %-8s  ", when, p.column, lane, kind)
}

// rows returns the lines of the block: one for each lane, as many as fit, and one with the elapsed time.
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
	left := fmt.Sprintf("%d lanes running", len(rows))
	if len(rows) == 1 {
		left = "1 lane running"
	}
	return fit(rows, fmt.Sprintf("%6.1fs  %s; Ctrl-C ends the run and undoes everything", elapsed.Seconds(), left), width, height)
}

// prompt returns a writer for text that must not be mixed with the block.
func (p *progress) prompt() io.Writer { return prompter{p} }

type prompter struct{ *progress }

func (p prompter) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	for _, lane := range p.lanes {
		lane.doing = "" // the screen must not move while a person reads it
	}
	return p.out.Write(text)
}

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colored is whether to use colours: see no-color.org.
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
