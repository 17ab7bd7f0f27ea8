package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// agreementView is the comparison of two runs, as pages and terminals show it.
type agreementView struct {
	Outcome Badge
	Reason  string
	Names   [2]string
	Runs    []agreementRun
	Notes   []string
	Groups  []agreementGroup
}

// agreementRun is one of the two. Report is its address, empty if that is this very page.
type agreementRun struct {
	Name, Report, Facts string
	Outcome             Badge
}

// agreementGroup is a variant with its phases, or the claims.
type agreementGroup struct {
	Name, Title string
	// Detectors is true if it has phases, in which detectors are asked.
	Detectors bool
	Lines     []agreementLine
}

// agreementLine is a phase, a claim, or a detector of a phase that does not say the same.
type agreementLine struct {
	Mark  Badge
	Name  string
	Cells [2]agreementCell
	// Detectors sums up the detectors of a phase.
	Detectors string
	Why       string
	Detector  bool
}

// agreementCell is what one of the runs says. Seen is what it saw, if nothing explains the difference.
type agreementCell struct{ Of, Text, Seen string }

func agreementBadge(o judge.Outcome) Badge {
	b := OutcomeBadge(o)
	switch o {
	case judge.Pass:
		b.Word = "Agree"
	case judge.Fail:
		b.Word = "Disagree"
	}
	return b
}

func resultBadge(r agree.Result) Badge {
	switch r {
	case agree.Same:
		return Badge{"pass", "✓", "the same"}
	case agree.Explained:
		return Badge{"finding", "≠", "explained"}
	case agree.Open:
		return Badge{"inconclusive", "?", "open"}
	case agree.Skipped:
		return Badge{"skipped", "–", "not compared"}
	}
	return Badge{"fail", "✗", "unexplained"} // so are those of older versions
}

func viewAgreement(a agree.Agreement) agreementView {
	v := agreementView{Outcome: agreementBadge(a.Outcome), Reason: a.Reason, Notes: a.Notes}
	for i, r := range a.Runs {
		v.Names[i] = r.Name
		one := agreementRun{Name: r.Name, Outcome: OutcomeBadge(r.Outcome), Facts: "kube-proxy " + r.Proxy + ", " + Date(r.Start)}
		if r.Folder != "." {
			one.Report = href(r.Folder + "/" + rundir.ReportFile)
		}
		v.Runs = append(v.Runs, one)
	}
	for i, r := range a.Rows {
		if group := groupOf(r); len(v.Groups) == 0 || v.Groups[len(v.Groups)-1].Name != group.Name {
			v.Groups = append(v.Groups, group)
		}
		if r.Detector != "" && r.Result == agree.Same {
			continue // counted in its phase
		}
		group := &v.Groups[len(v.Groups)-1]
		group.Lines = append(group.Lines, lineOf(r, a.Rows[i+1:], v.Names))
	}
	return v
}

// groupOf is the group that a row belongs to.
func groupOf(r agree.Row) agreementGroup {
	switch {
	case r.Variant != "":
		return agreementGroup{Name: r.Variant, Title: "Variant " + r.Variant + ": how many attempts show the symptom, and the detectors that are not alike", Detectors: true}
	case r.Claim != "":
		return agreementGroup{Name: "claims", Title: "Claims"}
	}
	return agreementGroup{Name: "the run as a whole", Title: "The run as a whole"}
}

// lineOf makes the line of a row; after are those that follow it, the phase's detectors first.
func lineOf(r agree.Row, after []agree.Row, names [2]string) agreementLine {
	l := agreementLine{
		Mark: resultBadge(r.Result), Name: cmp.Or(r.Claim, r.Detector, r.Phase, "all of it"), Why: r.Why, Detector: r.Detector != "",
	}
	for i, a := range r.Answers {
		l.Cells[i] = agreementCell{Of: names[i], Text: textOf(a, r.Phase != "" && r.Detector == "")}
		if r.Result == agree.Unexplained && (r.Claim != "" || r.Detector != "") {
			l.Cells[i].Seen = a.Seen
		}
	}
	if r.Phase != "" && r.Detector == "" {
		all, alike := 0, 0
		for _, d := range after {
			if d.Detector == "" || d.Phase != r.Phase || d.Variant != r.Variant {
				break
			}
			all++
			if d.Result == agree.Same {
				alike++
			}
		}
		switch {
		case all > 0 && alike == all:
			l.Detectors = fmt.Sprintf("%d alike", all)
		case all > 0:
			l.Detectors = fmt.Sprintf("%d of %d alike", alike, all)
		}
	}
	return l
}

// textOf is what a run says, for a table: a phase with its numbers, and a shape where it is not a pass.
func textOf(a agree.Answer, phase bool) string {
	text := a.Says
	if phase {
		text = strings.TrimSpace(a.Says + " " + a.Seen)
		if a.Outcome == "" {
			return "–"
		}
	}
	if a.Outcome != "" && a.Outcome != judge.Pass {
		text = strings.TrimSpace(symbol(a.Outcome) + " " + text)
	}
	return cmp.Or(text, "–")
}

// telling lists the lines that ask for attention, each with its group: all but what is alike, or was not compared.
func telling(a agree.Agreement) []agreementLine {
	var list []agreementLine
	for _, r := range a.Rows {
		if r.Result == agree.Same || r.Result == agree.Skipped {
			continue
		}
		l := lineOf(r, nil, [2]string{a.Runs[0].Name, a.Runs[1].Name})
		l.Name = cmp.Or(r.Subject.String(), "the run as a whole")
		list = append(list, l)
	}
	slices.SortStableFunc(list, byRank)
	return list
}

// byRank puts what nobody explains first.
func byRank(a, b agreementLine) int {
	rank := []string{"fail", "inconclusive", "finding"}
	return slices.Index(rank, a.Mark.Class) - slices.Index(rank, b.Mark.Class)
}

// agreementText lists what asks for attention, a line each.
func agreementText(a agree.Agreement) string {
	text := ""
	for _, l := range telling(a) {
		text += fmt.Sprintf("\n%s: %s: %s in %s, %s in %s", l.Mark.Word, l.Name, l.Cells[0].Text, l.Cells[0].Of, l.Cells[1].Text, l.Cells[1].Of)
		if l.Why != "" {
			text += ": " + l.Why
		}
	}
	return text
}
