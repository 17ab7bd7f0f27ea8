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

// AgreementTerminal writes the comparison of two runs point by point. Detectors have lines of their own only if they differ.
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

// agreementHead writes the outcome and the two runs.
func (t *terminal) agreementHead(a agree.Agreement, v agreementView, title string) {
	word := v.Outcome.Symbol + " " + strings.ToUpper(v.Outcome.Word)
	t.wrap(word+"  ", title, t.mark(word, string(a.Outcome)))
	t.wrap("  ", v.Reason, nil)
	column := max(utf8.RuneCountInString(v.Names[0]), utf8.RuneCountInString(v.Names[1]))
	for _, r := range a.Runs {
		outcome := fmt.Sprintf("%-14s", words(r.Outcome))
		line := fmt.Sprintf("  %-*s  %s  %s", column, r.Name, outcome, Printable(filepath.Join(r.Folder, rundir.ReportFile)))
		t.marked(line, outcome, string(r.Outcome))
	}
	for _, n := range v.Notes {
		t.wrap("  ! ", n, nil)
	}
}

// agreementLine writes a line and its explanation, unless that is the one right above. It returns the explanation.
func (t *terminal) agreementLine(l agreementLine, name, cell int, above string) string {
	indent := "  "
	if l.Detector {
		indent, name = "    ", name-2
	}
	line := fmt.Sprintf("%s%s %-*s  %-*s  %-*s  %s", indent, l.Mark.Symbol, name, cut(l.Name, name), cell, cut(l.Cells[0].Text, cell), cell, cut(l.Cells[1].Text, cell), l.Detectors)
	t.marked(line, l.Mark.Symbol, l.Mark.Class)
	t.because(l, indent+"    ", above)
	if l.Why == "" && l.Detector {
		return above
	}
	return l.Why
}

// because says why two answers are not the same.
func (t *terminal) because(l agreementLine, indent, above string) {
	if l.Why != "" && l.Why != above {
		t.wrap(indent, l.Mark.Word+": "+l.Why, nil)
	}
	for _, c := range l.Cells {
		if c.Seen != "" {
			t.wrap(indent+c.Of+": ", c.Seen, nil)
		}
	}
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
	t.line(t.paint(string(worst), agreeWords(worst)) + ": " + count(len(all), "scenario") + " compared")
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
			a.Counts[agree.Same], a.Counts[agree.Explained], a.Counts[agree.Unexplained], a.Counts[agree.Open], a.Counts[agree.Skipped])
		t.marked(line, outcome, string(a.Outcome))
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
		t.wrap("  "+l.Mark.Symbol+" ", said, t.mark(l.Mark.Symbol, l.Mark.Class))
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
	t.line("compared with " + Printable(s.AgreeWith))
	t.agreementTable(s.agreements())
	var alone []string
	for _, r := range s.Scenarios {
		if r.Agreement == nil {
			alone = append(alone, r.Scenario)
		}
	}
	if len(alone) > 0 {
		t.line("")
		t.wrap("  – ", "no two runs to compare: "+strings.Join(alone, ", "), nil)
	}
}

// agreement tells at the end of a run whether it agrees with the one that it was compared with, and where it does not.
func (t *terminal) agreement(a *agree.Agreement) {
	if a == nil {
		return
	}
	t.line("")
	word := agreeWords(a.Outcome)
	t.wrap(word+" with "+a.Runs[1].Name+": ", a.Reason, t.mark(word, string(a.Outcome)))
	t.tellings(*a)
}
