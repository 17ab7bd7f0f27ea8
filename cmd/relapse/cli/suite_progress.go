package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/cmd/relapse/suite"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

var _ suite.Watcher = (*suiteProgress)(nil)

// suiteProgress shows how far a suite is: on a terminal a row for each scenario, otherwise a line when one starts and a line when
// it ends.
type suiteProgress struct {
	*screen
	silent bool
	column int
	list   []*scenarioRow
}

// scenarioRow is a scenario of the suite.
type scenarioRow struct {
	id    string
	begun time.Duration
	state string
	// phases has the phase of each of its lanes.
	phases map[string]string
	ended  *reports.SuiteRun
}

// States of a scenario.
const (
	waiting = "waiting"
	running = "running"
)

func newSuiteProgress(out io.Writer, silent bool, list []chosen) *suiteProgress {
	p := &suiteProgress{screen: newScreen(out, !silent && isTerminal(out)), silent: silent}
	for _, one := range list {
		p.list = append(p.list, &scenarioRow{id: one.scenario.Metadata.ID, state: waiting, phases: map[string]string{}})
		p.column = max(p.column, len(one.scenario.Metadata.ID))
	}
	p.screen.rows = p.table
	go p.tick()
	return p
}

func (p *suiteProgress) begin(seed uint64, jobs int, shard *reports.Shard) {
	if !p.silent {
		p.mu.Lock()
		defer p.mu.Unlock()
		what := fmt.Sprintf("%d scenarios", len(p.list))
		if shard != nil {
			what += ", " + shard.String()
		}
		p.write("", fmt.Sprintf("%s; up to %d lanes at a time (seed %d)", what, jobs, seed))
	}
}

func (p *suiteProgress) row(id string) *scenarioRow {
	return p.list[slices.IndexFunc(p.list, func(r *scenarioRow) bool { return r.id == id })]
}

// Begin is called when a scenario starts.
func (p *suiteProgress) Begin(s *scenario.Scenario) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.row(s.Metadata.ID)
	r.state, r.begun = running, time.Since(p.start)
	if !p.silent && !p.live {
		p.write(p.lead(r.begun, r.id), "started: "+s.Metadata.Title)
	}
}

// End is called when a scenario has been judged.
func (p *suiteProgress) End(result reports.SuiteRun) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.row(result.Scenario)
	r.state, r.ended = string(result.Outcome), &result
	if !p.silent && !p.live {
		p.write(p.lead(time.Since(p.start), r.id), fmt.Sprintf("%s after %.1f s: %s", result.Outcome, result.Took, cmp.Or(result.Error, result.Reason)))
	}
}

// Event is called for each event of a run.
func (p *suiteProgress) Event(s *scenario.Scenario, e history.Event) {
	if e.Kind != history.PhaseBegin || p.silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	kind, _, _ := strings.Cut(e.Phase, "/")
	p.row(s.Metadata.ID).phases[e.Lane] = kind
}

// Status is called when a lane does something else; doing is empty when it has ended.
func (p *suiteProgress) Status(s *scenario.Scenario, lane, doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	phases := p.row(s.Metadata.ID).phases
	if doing == "" {
		delete(phases, lane)
	} else if phases[lane] == "" {
		phases[lane] = "starting"
	}
}

func (p *suiteProgress) lead(when time.Duration, id string) string {
	return fmt.Sprintf("%6.1fs  %-*s  ", when.Seconds(), p.column, id)
}

// table returns the rows of the block. If there is too little room, scenarios that have ended are left out.
func (p *suiteProgress) table(elapsed time.Duration, width, height int) []string {
	list := slices.Clone(p.list)
	if len(list) > height-2 {
		list = slices.DeleteFunc(list, func(r *scenarioRow) bool { return r.ended != nil })
	}
	var rows []string
	ended := 0
	for _, r := range p.list {
		if r.ended != nil {
			ended++
		}
	}
	for _, r := range list {
		rows = append(rows, r.text(p.column, elapsed))
	}
	last := fmt.Sprintf("%6.1fs  %d of %d scenarios done; Ctrl-C ends all runs and undoes everything", elapsed.Seconds(), ended, len(p.list))
	return fit(rows, last, width, height)
}

// text returns the row: state, time, and the phases of its lanes, or its result.
func (r *scenarioRow) text(column int, elapsed time.Duration) string {
	lead := func(took string) string { return fmt.Sprintf("%-*s  %-12s  %7s  ", column, r.id, r.state, took) }
	switch {
	case r.ended != nil:
		return lead(fmt.Sprintf("%.1fs", r.ended.Took)) + strings.Join(strings.Fields(cmp.Or(r.ended.Error, r.ended.Reason)), " ")
	case r.state == waiting:
		return lead("")
	}
	count := map[string]int{}
	for _, phase := range r.phases {
		count[phase]++
	}
	var parts []string
	for _, phase := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d × %s", count[phase], phase))
	}
	return lead(fmt.Sprintf("%.1fs", (elapsed-r.begun).Seconds())) + strings.Join(parts, ", ")
}
