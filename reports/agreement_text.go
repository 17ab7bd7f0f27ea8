package reports

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// AgreementTerminal writes what two runs say alike, point by point; detectors have lines of their own only where they do not.
func AgreementTerminal(w io.Writer, a agree.Agreement, width int, color bool) error {
	t := newTerminal(width, color)
	v := viewAgreement(a)
	t.agreementHead(a, v, a.Scenario+" in "+v.Names[0]+" and "+v.Names[1])
	name, cell := widths(v)
	name = min(name, t.width-2*cell-24)
	for _, g := range v.Groups {
		t.line("")
		head := ""
		if g.Name != "claims" {
			head = "detectors"
		}
		t.line(fmt.Sprintf("%-*s  %-*s  %-*s  %s", name+4, cut(g.Name, name+4), cell, v.Names[0], cell, v.Names[1], head))
		why := ""
		for _, l := range g.Lines {
			why = t.agreementLine(l, v.Names, name, cell, why)
		}
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

func newTerminal(width int, color bool) *terminal {
	if width <= 0 {
		width = 80
	}
	return &terminal{width: max(width, 60), color: color}
}

// widths of the columns of names and of answers.
func widths(v agreementView) (name, cell int) {
	cell = max(utf8.RuneCountInString(v.Names[0]), utf8.RuneCountInString(v.Names[1]))
	for _, g := range v.Groups {
		for _, l := range g.Lines {
			length := utf8.RuneCountInString(l.Name)
			if l.Detector {
				length += 2
			}
			name = max(name, length)
			cell = max(cell, utf8.RuneCountInString(l.Cells[0]), utf8.RuneCountInString(l.Cells[1]))
		}
	}
	return name, min(cell, 20)
}

// agreementHead says what came of it, of which runs.
func (t *terminal) agreementHead(a agree.Agreement, v agreementView, title string) {
	word := v.Outcome.Symbol + " " + strings.ToUpper(v.Outcome.Word)
	t.wrap(word+"  ", title, func(s string) string { return strings.Replace(s, word, t.paint(a.Outcome, word), 1) })
	t.wrap("  ", v.Reason, nil)
	column := max(utf8.RuneCountInString(v.Names[0]), utf8.RuneCountInString(v.Names[1]))
	for _, r := range a.Runs {
		outcome := fmt.Sprintf("%-14s", words(r.Outcome))
		line := fmt.Sprintf("  %-*s  %s  %s", column, r.Name, outcome, printable(filepath.Join(r.Folder, rundir.ReportFile)))
		t.line(strings.Replace(line, outcome, t.paint(r.Outcome, outcome), 1))
	}
	for _, n := range v.Notes {
		t.wrap("  ! ", n, nil)
	}
}

// agreementLine writes a line and what explains it, where that is not what stands right above, which it returns.
func (t *terminal) agreementLine(l agreementLine, names [2]string, name, cell int, above string) string {
	indent := "  "
	if l.Detector {
		indent, name = "    ", name-2
	}
	mark := indent + l.Mark.Symbol
	line := fmt.Sprintf("%s %-*s  %-*s  %-*s  %s", mark, name, cut(l.Name, name), cell, cut(l.Cells[0], cell), cell, cut(l.Cells[1], cell), l.Detectors)
	t.line(strings.Replace(line, mark, indent+t.paint(markOutcome(l.Mark), l.Mark.Symbol), 1))
	t.because(l, names, indent+"    ", above)
	if l.Why == "" && l.Detector {
		return above
	}
	return l.Why
}

// because says why two answers are not the same.
func (t *terminal) because(l agreementLine, names [2]string, indent, above string) {
	if l.Why != "" && l.Why != above {
		t.wrap(indent, lead(l)+l.Why, nil)
	}
	for i, seen := range l.Seen {
		if seen != "" {
			t.wrap(indent+names[i]+": ", seen, nil)
		}
	}
}

// lead begins what is said of a line, where the words alone do not tell what it is about.
func lead(l agreementLine) string {
	switch l.Mark.Word {
	case "explained", "unexplained", "open":
		return l.Mark.Word + ": "
	}
	return ""
}

// markOutcome is the outcome that has the colour of a mark.
func markOutcome(b badge) judge.Outcome {
	switch b.Class {
	case "pass", "finding":
		return judge.Pass
	case "fail":
		return judge.Fail
	case "skipped":
		return judge.Skipped
	}
	return judge.Inconclusive
}

// AgreementsTerminal writes a table of several scenarios, and then every point on which two runs are not alike.
func AgreementsTerminal(w io.Writer, all []agree.Agreement, width int, color bool) error {
	t := newTerminal(width, color)
	name := len("scenario")
	for _, a := range all {
		name = max(name, utf8.RuneCountInString(a.Scenario))
	}
	t.agreementTable(all, name)
	for _, a := range all {
		t.tellings(a)
	}
	t.line("")
	worst := judge.Skipped
	for _, a := range all {
		worst = judge.Worst(worst, a.Outcome)
	}
	b := agreementBadge(worst)
	word := b.Symbol + " " + strings.ToLower(b.Word)
	t.line(t.paint(worst, word) + ": " + count(len(all), "scenario") + " compared")
	_, err := io.WriteString(w, t.out.String())
	return err
}

// agreementTable has a line for each scenario.
func (t *terminal) agreementTable(all []agree.Agreement, name int) {
	t.line(fmt.Sprintf("%-*s  %-14s  %5s  %9s  %6s  %4s  %4s", name, "scenario", "outcome", "alike", "explained", "differ", "open", "skip"))
	for _, a := range all {
		b := agreementBadge(a.Outcome)
		outcome := fmt.Sprintf("%-14s", b.Symbol+" "+strings.ToLower(b.Word))
		line := fmt.Sprintf("%-*s  %s  %5d  %9d  %6d  %4d  %4d", name, a.Scenario, outcome,
			a.Count(agree.Same), a.Count(agree.Explained), a.Count(agree.Unexplained)+a.Count(agree.Stale), a.Count(agree.Open), a.Count(agree.Skipped))
		t.line(strings.Replace(line, outcome, t.paint(a.Outcome, outcome), 1))
	}
}

// tellings writes what is not alike in one scenario.
func (t *terminal) tellings(a agree.Agreement) {
	lines := telling(a)
	if len(lines) == 0 && len(a.Notes) == 0 {
		return
	}
	t.line("")
	t.line(a.Scenario)
	for _, n := range a.Notes {
		t.wrap("  ! ", n, nil)
	}
	above := ""
	for _, l := range lines {
		said := fmt.Sprintf("%s: %s in %s, %s in %s", l.Name, l.Cells[0], a.Runs[0].Name, l.Cells[1], a.Runs[1].Name)
		if l.Mark.Class == "inconclusive" {
			said = l.Name
		}
		t.wrap("  "+l.Mark.Symbol+" ", said, func(s string) string {
			return strings.Replace(s, l.Mark.Symbol, t.paint(markOutcome(l.Mark), l.Mark.Symbol), 1)
		})
		t.because(l, [2]string{a.Runs[0].Name, a.Runs[1].Name}, "      ", above)
		above = l.Why
	}
}
