package reports

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// remedyRow compares a remedy with the fault that it is for.
type remedyRow struct {
	ID, Title, Caveat string
	Source            source
	Cured, Back       Badge
	// With and Under are the symptom's probe under the remedy and under the bare fault.
	With, Under timings
}

func (d Data) remedies(v variant) []remedyRow {
	var rows []remedyRow
	fault, _ := v.phase("fault")
	under := fault.Probes[v.Spec.Symptom.Probe]
	for _, r := range d.scenario().Remedies {
		if !applies(r.Variants, v.Name) {
			continue
		}
		row := remedyRow{ID: r.ID, Title: r.Title, Caveat: r.Caveat, Source: d.source(r.Source), Cured: notRun, Back: notRun}
		row.Under = sums(under)
		if p, ok := v.phase("remedy/" + r.ID); ok {
			row.Cured = answer(p.Outcome, "cured", "not cured")
			row.With = sums(p.Probes[v.Spec.Symptom.Probe])
		}
		if p, ok := v.phase("relapse/" + r.ID); ok {
			row.Back = answer(p.Outcome, "came back", "stayed away")
		}
		rows = append(rows, row)
	}
	if !v.Judged && len(v.Lanes) == 0 || v.Skipped != "" {
		return nil
	}
	return rows
}

var notRun = Badge{"skipped", "–", "not run"}

// answer words the outcome of a phase for a table's cell.
func answer(o judge.Outcome, yes, no string) Badge {
	switch b := OutcomeBadge(o); o {
	case judge.Pass:
		b.Word = yes
		return b
	case judge.Fail:
		b.Word = no
		return b
	default:
		b.Word = strings.ToLower(b.Word)
		return b
	}
}

// timings sums up the attempts of a probe.
type timings struct{ P50, P99, Max, Failed string }

func sums(s judge.Samples) timings {
	if s.Count == 0 {
		return timings{"–", "–", "–", ""}
	}
	t := timings{P50: units.Seconds(s.P50), P99: units.Seconds(s.P99), Max: units.Seconds(s.Max)}
	if s.Failed > 0 {
		t.Failed = fmt.Sprintf("%d of %d failed", s.Failed, s.Count)
	}
	return t
}

// controlRow is a control and what became of it.
type controlRow struct {
	ID, Title, Expect string
	Source            source
	Outcome           Badge
	Seen              timings
}

func (d Data) controls(v variant) []controlRow {
	var rows []controlRow
	for _, c := range d.scenario().Controls {
		p, ok := v.phase("control/" + c.ID)
		if !ok {
			continue
		}
		row := controlRow{ID: c.ID, Title: c.Title, Source: d.source(c.Source), Expect: "the symptom stays", Outcome: answer(p.Outcome, "it stayed", "it went away")}
		if c.Expect == "healthy" {
			row.Expect, row.Outcome = "the symptom does not appear", answer(p.Outcome, "it did not", "it appeared")
		}
		row.Seen = sums(p.Probes[v.Spec.Symptom.Probe])
		rows = append(rows, row)
	}
	return rows
}

// claimRow is a sentence of a document and what became of it.
type claimRow struct {
	ID, Says, Seen, Note string
	Source               source
	Result               Badge
	Expected             string
	Where                string
}

func (d Data) claims() []claimRow {
	var rows []claimRow
	for _, c := range d.Verdict.Claims {
		row := claimRow{ID: c.ID, Says: c.Says, Seen: c.Seen, Source: d.source(c.Source), Result: ClaimBadge(c.Expected, c.Result), Expected: c.Expected}
		for _, s := range d.scenario().Claims {
			if s.ID == c.ID {
				row.Note, row.Where = s.Note, s.Check.Variant+", "+s.Check.Phase
			}
		}
		if row.Result.Class != "fail" && row.Result.Class != "skipped" {
			row.Expected = "" // the result says it already
		}
		rows = append(rows, row)
	}
	return rows
}

// ClaimBadge shows a refuted claim calmly if that was expected: it is a finding and not a fault of the run.
func ClaimBadge(expected, result string) Badge {
	switch {
	case result == judge.Untested || result == "":
		return Badge{"skipped", "–", "untested"}
	case result != expected:
		return Badge{"fail", "✗", result + ", against expectation"}
	case result == judge.Refuted:
		return Badge{"finding", "≠", "refuted, as expected"}
	}
	return Badge{"pass", "✓", "holds, as expected"}
}

// source looks a document up; an unknown one is shown by its id.
func (d Data) source(id string) source {
	for _, s := range d.scenario().Metadata.Sources {
		if s.ID == id {
			return source{s.ID, s.Title, s.Section, webLink(s.URL)}
		}
	}
	return source{ID: id, Title: id}
}

// detectorTable says for each phase which detectors fired.
type detectorTable struct {
	Detectors []detectorHead
	Rows      []detectorRow
}

type detectorHead struct {
	ID, Title, Command string
	Source             source
	// Silent is where it is documented to see the failure and is expected not to.
	Silent bool
}

type detectorRow struct {
	Phase, Title string
	Tone         string
	Cells        []detectorCell
}

type detectorCell struct {
	Fired Badge
	Text  string
	// Wrong is what was expected, where it was something else.
	Wrong string
}

// detectorHeads lists the detectors of all variants, each once.
func (d Data) detectorHeads(variants []variant) []detectorHead {
	var heads []detectorHead
	for _, v := range variants {
		for _, h := range d.detectors(v).Detectors {
			if !slices.Contains(heads, h) {
				heads = append(heads, h)
			}
		}
	}
	return heads
}

func (d Data) detectors(v variant) detectorTable {
	var t detectorTable
	known := func(id string) bool {
		return slices.ContainsFunc(t.Detectors, func(h detectorHead) bool { return h.ID == id })
	}
	for _, s := range d.scenario().Detection {
		if applies(s.Variants, v.Name) {
			t.Detectors = append(t.Detectors, detectorHead{s.ID, s.Title, s.Command, d.source(s.Source), s.Expect == scenario.ExpectSilent})
		}
	}
	for _, p := range v.Verdict.Phases {
		for _, id := range sortedKeys(p.Detectors) {
			if !known(id) {
				t.Detectors = append(t.Detectors, detectorHead{ID: id, Title: id})
			}
		}
	}
	for _, p := range v.Verdict.Phases {
		row := detectorRow{Phase: p.Name, Title: d.phaseTitle(p.Name), Tone: string(tone(kind(p.Name)))}
		for _, h := range t.Detectors {
			result, ok := p.Detectors[h.ID]
			row.Cells = append(row.Cells, detectorCellOf(result, ok))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// silent is whether a detector is expected not to see the failure.
func (d Data) silent(id string) bool {
	return slices.ContainsFunc(d.scenario().Detection, func(s scenario.Detector) bool { return s.ID == id && s.Expect == scenario.ExpectSilent })
}

func detectorCellOf(r judge.Detected, ok bool) detectorCell {
	if !ok {
		return detectorCell{Fired: Badge{"skipped", "–", "not read"}}
	}
	c := detectorCell{Fired: Badge{"quiet", "○", "quiet"}, Text: r.Text}
	switch {
	case r.Fired:
		c.Fired = Badge{"fired", "◆", "fired"}
	case r.Blind:
		c.Fired = Badge{"skipped", "–", "nothing to see"}
	}
	if c.Text == "" {
		c.Text = units.Number(r.Reading)
	}
	if r.Expected != nil && *r.Expected != r.Fired {
		c.Wrong = "expected to be quiet"
		if *r.Expected {
			c.Wrong = "expected to fire"
		}
	}
	return c
}

// phaseChecks is every check of a phase.
type phaseChecks struct {
	Name, Title string
	Outcome     Badge
	Count       string
	Open        bool
	Checks      []judge.Check
	Lanes       bool
}

func (d Data) checks(v variant) []phaseChecks {
	var list []phaseChecks
	for _, p := range v.Verdict.Phases {
		c := phaseChecks{Name: p.Name, Title: d.phaseTitle(p.Name), Outcome: OutcomeBadge(p.Outcome), Checks: p.Checks, Count: count(len(p.Checks), "check")}
		failed := 0
		for _, check := range p.Checks {
			if !check.OK {
				failed++
			}
			c.Lanes = c.Lanes || check.Lane != ""
		}
		if failed > 0 {
			c.Count = fmt.Sprintf("%d of %s failed", failed, c.Count)
		}
		c.Open = failed > 0
		list = append(list, c)
	}
	return list
}
