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

// agreementView is two runs held against each other, as pages and terminals show it.
type agreementView struct {
	Outcome badge
	Reason  string
	Names   [2]string
	Runs    []agreementRun
	Notes   []string
	Groups  []agreementGroup
}

// agreementRun is one of the two. Report is its address, empty where that is this very page.
type agreementRun struct {
	Name, Report, Facts string
	Outcome             badge
}

// agreementGroup is a variant with its phases, or the claims.
type agreementGroup struct {
	Name  string
	Lines []agreementLine
}

// agreementLine is a phase, a claim, or in a phase a detector that is not alike.
type agreementLine struct {
	Mark  badge
	Name  string
	Cells [2]string
	// Detectors sums up the detectors of a phase.
	Detectors string
	// Why explains, Seen is what was seen on each side where nobody does.
	Why      string
	Seen     [2]string
	Detector bool
}

func agreementBadge(o judge.Outcome) badge {
	b := outcomeBadge(o)
	switch o {
	case judge.Pass:
		b.Word = "Agree"
	case judge.Fail:
		b.Word = "Disagree"
	}
	return b
}

func resultBadge(r agree.Result) badge {
	switch r {
	case agree.Same:
		return badge{"pass", "✓", "the same"}
	case agree.Explained:
		return badge{"finding", "≠", "explained"}
	case agree.Unexplained:
		return badge{"fail", "✗", "unexplained"}
	case agree.Stale:
		return badge{"fail", "✗", "not there"}
	case agree.Open:
		return badge{"inconclusive", "?", "open"}
	}
	return badge{"skipped", "–", "not compared"}
}

func viewAgreement(a agree.Agreement) agreementView {
	v := agreementView{Outcome: agreementBadge(a.Outcome), Reason: a.Reason, Notes: a.Notes}
	for i, r := range a.Runs {
		v.Names[i] = r.Name
		one := agreementRun{Name: r.Name, Outcome: outcomeBadge(r.Outcome), Facts: "kube-proxy " + r.Proxy + ", " + date(r.Start)}
		if r.Folder != "." {
			one.Report = href(r.Folder + "/" + rundir.ReportFile)
		}
		v.Runs = append(v.Runs, one)
	}
	for i, r := range a.Rows {
		name := cmp.Or(r.Variant, map[bool]string{true: "claims", false: "the run as a whole"}[r.Claim != ""])
		if len(v.Groups) == 0 || v.Groups[len(v.Groups)-1].Name != name {
			v.Groups = append(v.Groups, agreementGroup{Name: name})
		}
		if r.Detector != "" && r.Result == agree.Same {
			continue // counted in its phase
		}
		group := &v.Groups[len(v.Groups)-1]
		group.Lines = append(group.Lines, lineOf(r, a.Rows[i+1:]))
	}
	return v
}

// lineOf makes the line of a row; after are those that follow it, the phase's detectors first.
func lineOf(r agree.Row, after []agree.Row) agreementLine {
	l := agreementLine{
		Mark: resultBadge(r.Result), Name: cmp.Or(r.Claim, r.Detector, r.Phase, "all of it"), Why: r.Why, Detector: r.Detector != "",
	}
	for i, a := range r.Answers {
		l.Cells[i] = cellOf(a, r.Phase != "" && r.Detector == "")
		if r.Result == agree.Unexplained && (r.Claim != "" || r.Detector != "") {
			l.Seen[i] = a.Seen
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

// cellOf is what a run says, for a table: a phase with its numbers, and a shape where it is not a pass.
func cellOf(a agree.Answer, phase bool) string {
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
		l := lineOf(r, nil)
		l.Name = cmp.Or(r.Subject.String(), "the run as a whole")
		list = append(list, l)
	}
	slices.SortStableFunc(list, func(a, b agreementLine) int {
		return slices.Index(rank, a.Mark.Class) - slices.Index(rank, b.Mark.Class)
	})
	return list
}

var rank = []string{"fail", "inconclusive", "finding"}
