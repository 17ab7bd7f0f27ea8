package reports

import (
	"fmt"
	"io"
	"strings"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/relapse-k8s/relapse/harness/compare"
)

// ComparisonTerminal writes what changed, for a person at a terminal.
func ComparisonTerminal(w io.Writer, c compare.Comparison, width int, color bool) error {
	t := newTerminal(width, color)
	o := ComparisonBadge(c)
	word := o.Symbol + " " + strings.ToUpper(o.Word)
	t.wrap(word+"  ", c.Says, t.mark(word, o.Class))
	t.wrap("  BASE  ", sideText(c.Base), nil)
	t.wrap("  HEAD  ", sideText(c.Head), nil)
	for _, v := range c.Versions {
		lead := "  versions that differ  "
		if len(c.Versions) > 1 {
			lead = "  " + v.Env + "  "
		}
		t.wrap(lead, versionsText(v.Differ), nil)
	}
	for _, p := range c.Problems {
		t.wrap("  ! ", p, nil)
	}
	for _, p := range c.Pairs {
		if len(p.Findings) > 0 {
			t.pair(p)
		}
	}
	t.shy(c)
	if text := methodText(c); text != "" {
		t.line("")
		t.wrap("", text, nil)
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

// pair writes what changed in a pair.
func (t *terminal) pair(p compare.Pair) {
	b := ChangeBadge(p.Change)
	t.line("")
	lead := b.Symbol + " " + Printable(pairName(p))
	t.wrap(lead+"  ", pairEnv(p), t.mark(b.Symbol, b.Class))
	for i, f := range p.Findings {
		if i == mostFindings {
			t.line(fmt.Sprintf("    and %d more", len(p.Findings)-i))
			break
		}
		word := ChangeWord(f.Change)
		t.wrap("    "+word+"  ", f.Sentence(), t.mark(word, ChangeBadge(f.Change).Class))
		if f.Why != "" && (i == 0 || f.Why != p.Findings[i-1].Why) {
			t.wrap("      ", f.Why, nil)
		}
	}
	if p.FirstBad != nil {
		t.wrap("    first bad   ", refText(p.FirstBad), nil)
		if p.LastGood != nil {
			t.wrap("    last good   ", refText(p.LastGood), nil)
			if len(p.Between) > 0 {
				t.wrap("    in between  ", versionsText(p.Between), nil)
			}
		}
	}
	if again := againOf(p); again != "" && p.Change != compare.New {
		t.wrap("    run again   ", again, nil)
	}
}

// againOf is the command that runs the first bad run again, or the newest.
func againOf(p compare.Pair) string {
	for _, r := range []*compare.Ref{p.FirstBad, p.Newest[1], p.Newest[0]} {
		if r != nil && len(r.Command) > 0 {
			return CommandLine(r.Command)
		}
	}
	return ""
}

// shy tells of what has too few runs. Differences that would be large are named.
func (t *terminal) shy(c compare.Comparison) {
	list := c.Shy()
	if len(list) == 0 {
		return
	}
	t.line("")
	t.wrap("– ", shyText(c, list), t.mark("–", "skipped"))
	told := 0
	for _, one := range list {
		// What got worse takes other times too.
		if one.Large() && !one.Pair.Change.Bad() && told < mostFindings {
			t.wrap("    ", fmt.Sprintf("%s, %s: %s", pairName(one.Pair), one.Subject, one.Test.String()), nil)
			told++
		}
	}
}

// ComparisonMarkdown makes a summary, as GitHub shows it beside a job or in a pull request.
func ComparisonMarkdown(c compare.Comparison) []byte {
	var b strings.Builder
	o := ComparisonBadge(c)
	fmt.Fprintf(&b, "### %s %s: %s\n\n", o.Symbol, o.Word, MarkdownText(c.Says))
	fmt.Fprintf(&b, "- BASE %s\n- HEAD %s\n", MarkdownText(sideText(c.Base)), MarkdownText(sideText(c.Head)))
	for _, v := range c.Versions {
		fmt.Fprintf(&b, "- %s: %s\n", MarkdownText(v.Env), MarkdownText(versionsText(v.Differ)))
	}
	for _, p := range c.Problems {
		fmt.Fprintf(&b, "- %s\n", MarkdownText(p))
	}
	head := "\n| Scenario | Environment | Change | What |\n|---|---|---|---|\n"
	for _, p := range c.Pairs {
		for i, f := range p.Findings {
			if i == mostFindings {
				break
			}
			text := f.Sentence()
			if f.Why != "" && (i == 0 || f.Why != p.Findings[i-1].Why) {
				text += ". " + f.Why
			}
			fmt.Fprintf(&b, "%s| %s | %s | %s %s | %s |\n", head, MarkdownText(pairName(p)), MarkdownText(pairEnv(p)), ChangeBadge(f.Change).Symbol,
				ChangeWord(f.Change), MarkdownText(text))
			head = ""
		}
	}
	for _, p := range c.Pairs {
		if p.FirstBad == nil || !p.Change.Bad() {
			continue
		}
		fmt.Fprintf(&b, "\n**%s**: first bad %s", MarkdownText(pairName(p)), MarkdownText(refText(p.FirstBad)))
		if p.LastGood != nil {
			fmt.Fprintf(&b, "; last good %s", MarkdownText(refText(p.LastGood)))
		}
		if len(p.Between) > 0 {
			fmt.Fprintf(&b, "; in between %s", MarkdownText(versionsText(p.Between)))
		}
		if again := againOf(p); again != "" {
			fmt.Fprintf(&b, ". Again: `%s`", strings.ReplaceAll(Printable(again), "`", "'"))
		}
		b.WriteString("\n")
	}
	if list := c.Shy(); len(list) > 0 {
		fmt.Fprintf(&b, "\n%s\n", MarkdownText(shyText(c, list)))
	}
	if text := methodText(c); text != "" {
		fmt.Fprintf(&b, "\n%s\n", MarkdownText(text))
	}
	return []byte(b.String())
}

// ComparisonJUnit makes XML for continuous integration: a suite for each environment, a case for each scenario and variant. What got worse,
// is gone or newly skipped is a failure; what is newly inconclusive is an error.
func ComparisonJUnit(c compare.Comparison) ([]byte, error) {
	all := junit.Testsuites{Name: clean("relapse compare " + c.Base.Name + " " + c.Head.Name)}
	suites := map[string]int{}
	for _, p := range c.Pairs {
		env := pairEnv(p)
		at, known := suites[env]
		if !known {
			at = len(all.Suites)
			suites[env] = at
			all.Suites = append(all.Suites, junit.Testsuite{Name: clean("relapse.compare." + env)})
		}
		all.Suites[at].AddTestcase(pairCase(p))
	}
	counted := junit.Testsuites{Name: all.Name}
	for _, s := range all.Suites {
		counted.AddSuite(s)
	}
	return writeJUnit(counted)
}

func pairCase(p compare.Pair) junit.Testcase {
	one := junit.Testcase{Name: clean(pairName(p)), Classname: clean("relapse.compare." + pairEnv(p)), Time: junitTime(0)}
	var lines []string
	for _, f := range p.Findings {
		lines = append(lines, ChangeWord(f.Change)+": "+f.Sentence())
		if f.Why != "" {
			lines = append(lines, "  "+f.Why)
		}
	}
	if p.FirstBad != nil {
		lines = append(lines, "first bad: "+refText(p.FirstBad))
		if p.LastGood != nil {
			lines = append(lines, "last good: "+refText(p.LastGood))
		}
	}
	if again := againOf(p); again != "" && len(lines) > 0 {
		lines = append(lines, "run again: "+again)
	}
	text := strings.Join(lines, "\n")
	result := &junit.Result{Message: clean(firstLine(text)), Type: string(p.Change), Data: clean(text)}
	switch {
	case p.Change.Bad():
		one.Failure = result
	case p.Change == compare.Inconclusive:
		one.Error = result
	case text != "":
		one.SystemOut = &junit.Output{Data: clean(text)}
	}
	return one
}
