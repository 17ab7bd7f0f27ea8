package reports

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
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
		if g.Detectors {
			head = "detectors"
		}
		t.line(fmt.Sprintf("%-*s  %-*s  %-*s  %s", name+4, cut(g.Name, name+4), cell, v.Names[0], cell, v.Names[1], head))
		why := ""
		for _, l := range g.Lines {
			why = t.agreementLine(l, name, cell, why)
		}
	}
	_, err := io.WriteString(w, t.out.String())
	return err
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
			cell = max(cell, utf8.RuneCountInString(l.Cells[0].Text), utf8.RuneCountInString(l.Cells[1].Text))
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
func (t *terminal) agreementLine(l agreementLine, name, cell int, above string) string {
	indent := "  "
	if l.Detector {
		indent, name = "    ", name-2
	}
	mark := indent + l.Mark.Symbol
	line := fmt.Sprintf("%s %-*s  %-*s  %-*s  %s", mark, name, cut(l.Name, name), cell, cut(l.Cells[0].Text, cell), cell, cut(l.Cells[1].Text, cell), l.Detectors)
	t.line(strings.Replace(line, mark, indent+t.paint(markOutcome(l.Mark), l.Mark.Symbol), 1))
	t.because(l, indent+"    ", above)
	if l.Why == "" && l.Detector {
		return above
	}
	return l.Why
}

// because says why two answers are not the same.
func (t *terminal) because(l agreementLine, indent, above string) {
	if l.Why != "" && l.Why != above {
		t.wrap(indent, lead(l)+l.Why, nil)
	}
	for _, c := range l.Cells {
		if c.Seen != "" {
			t.wrap(indent+c.Of+": ", c.Seen, nil)
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

// AgreementsTerminal writes a table of several scenarios, then every point on which two runs are not alike, and then the scenarios that
// are missing on a side.
func AgreementsTerminal(w io.Writer, all, missing []agree.Agreement, width int, color bool) error {
	t := newTerminal(width, color)
	t.agreementTable(all)
	t.line("")
	for _, a := range missing {
		t.wrap("  "+symbol(a.Outcome)+" ", a.Scenario+": "+a.Reason, nil)
	}
	if len(missing) > 0 {
		t.line("")
	}
	worst := judge.Skipped
	for _, a := range slices.Concat(all, missing) {
		worst = judge.Worst(worst, a.Outcome)
	}
	t.line(t.paint(worst, agreeWords(worst)) + ": " + count(len(all), "scenario") + " compared")
	_, err := io.WriteString(w, t.out.String())
	return err
}

// agreementTable has a line for each scenario, and then all on which two runs are not alike.
func (t *terminal) agreementTable(all []agree.Agreement) {
	name := len("scenario")
	for _, a := range all {
		name = max(name, utf8.RuneCountInString(a.Scenario))
	}
	t.line(fmt.Sprintf("%-*s  %-14s  %5s  %9s  %6s  %4s  %4s", name, "scenario", "outcome", "alike", "explained", "differ", "open", "skip"))
	for _, a := range all {
		outcome := fmt.Sprintf("%-14s", agreeWords(a.Outcome))
		line := fmt.Sprintf("%-*s  %s  %5d  %9d  %6d  %4d  %4d", name, a.Scenario, outcome,
			a.Counts[agree.Same], a.Counts[agree.Explained], a.Counts[agree.Unexplained]+a.Counts[agree.Stale], a.Counts[agree.Open], a.Counts[agree.Skipped])
		t.line(strings.Replace(line, outcome, t.paint(a.Outcome, outcome), 1))
	}
	for _, a := range all {
		if len(telling(a))+len(a.Notes) > 0 {
			t.line("")
			t.line(a.Scenario)
			t.tellings(a)
		}
	}
}

// tellings writes what is not alike in one scenario.
func (t *terminal) tellings(a agree.Agreement) {
	for _, n := range a.Notes {
		t.wrap("  ! ", n, nil)
	}
	above := ""
	for _, l := range telling(a) {
		said := fmt.Sprintf("%s: %s in %s, %s in %s", l.Name, l.Cells[0].Text, l.Cells[0].Of, l.Cells[1].Text, l.Cells[1].Of)
		if l.Mark.Class == "inconclusive" {
			said = l.Name
		}
		t.wrap("  "+l.Mark.Symbol+" ", said, func(s string) string {
			return strings.Replace(s, l.Mark.Symbol, t.paint(markOutcome(l.Mark), l.Mark.Symbol), 1)
		})
		t.because(l, "      ", above)
		above = l.Why
	}
}

func agreeWords(o judge.Outcome) string {
	b := agreementBadge(o)
	return b.Symbol + " " + strings.ToLower(b.Word)
}

// suiteAgreement tells at the end of a suite whether it agrees with other runs.
func (t *terminal) suiteAgreement(s Suite) {
	if s.AgreeWith == "" {
		return
	}
	t.line("")
	t.line("held against " + printable(s.AgreeWith))
	t.agreementTable(s.agreements())
	var alone []string
	for _, r := range s.Scenarios {
		if r.Agreement == nil {
			alone = append(alone, r.Scenario)
		}
	}
	if len(alone) > 0 {
		t.line("")
		t.wrap("  – ", "no two runs to compare of "+strings.Join(alone, ", "), nil)
	}
}

// agreement tells at the end of a run whether it agrees with the one that it was held against, and on what it does not.
func (t *terminal) agreement(a *agree.Agreement) {
	if a == nil {
		return
	}
	t.line("")
	word := agreeWords(a.Outcome)
	t.wrap(word+" with "+a.Runs[1].Name+": ", a.Reason, func(s string) string { return strings.Replace(s, word, t.paint(a.Outcome, word), 1) })
	t.tellings(*a)
}
