package reports

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/jstemmer/go-junit-report/v2/junit"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// SuiteTerminal writes the table that a person sees at the end of a suite.
func SuiteTerminal(w io.Writer, s Suite, width int, color bool) error {
	t := newTerminal(width, color)
	name := len("scenario")
	for _, r := range s.Scenarios {
		name = max(name, utf8.RuneCountInString(r.Scenario))
	}
	t.line(fmt.Sprintf("%-*s  %-14s  %7s  %4s  %7s  %8s  report", name, "scenario", "outcome", "seconds", "held", "refuted", "untested"))
	for _, r := range s.Scenarios {
		outcome := fmt.Sprintf("%-14s", words(r.Outcome))
		report := "none"
		if r.Run != "" {
			report = filepath.Join(s.Dir, r.Run, rundir.ReportFile)
		}
		line := fmt.Sprintf("%-*s  %s  %7.1f  %4d  %7d  %8d  %s", name, r.Scenario, outcome, r.Took, r.Claims.Held, r.Claims.Refuted, r.Claims.Untested, Printable(report))
		t.marked(line, outcome, string(r.Outcome))
	}
	for _, r := range s.Scenarios {
		if r.Outcome != judge.Pass {
			t.line("")
			t.wrap(fmt.Sprintf("%s %s: ", OutcomeBadge(r.Outcome).Symbol, r.Scenario), r.text(), nil)
		}
	}
	t.suiteAgreement(s)
	t.line("")
	word := words(s.Outcome)
	t.marked(fmt.Sprintf("%s: %s, in %.0f s", word, s.reason(), s.Took), word, string(s.Outcome))
	if s.Shard != nil {
		t.line("This is " + s.Shard.String() + ".")
	}
	if s.Dir != "" {
		t.line("Report: " + filepath.Join(s.Dir, SuiteIndex))
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

// SuiteMarkdown makes a short summary, as GitHub shows it beside a job.
func SuiteMarkdown(s Suite) []byte {
	var b strings.Builder
	o := OutcomeBadge(s.Outcome)
	fmt.Fprintf(&b, "### %s %s: %s\n\n", o.Symbol, o.Word, s.reason())
	b.WriteString("| Scenario | Outcome | Seconds | Held | Refuted | Untested | Why |\n|---|---|--:|--:|--:|--:|---|\n")
	for _, r := range s.Scenarios {
		fmt.Fprintf(&b, "| %s | %s | %.1f | %d | %d | %d | %s |\n", MarkdownText(r.Scenario), words(r.Outcome), r.Took, r.Claims.Held, r.Claims.Refuted, r.Claims.Untested, MarkdownText(r.text()))
	}
	if all := s.agreements(); len(all) > 0 {
		b.WriteString("\n| Scenario | Compared with another run | Why |\n|---|---|---|\n")
		for _, a := range all {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", MarkdownText(a.Scenario), agreeWords(a.Outcome), MarkdownText(a.Reason))
		}
	}
	if s.Shard != nil {
		fmt.Fprintf(&b, "\nThis is %s.\n", s.Shard)
	}
	fmt.Fprintf(&b, "\nkube-proxy %s. Again: `%s`\n", MarkdownText(s.Proxy), strings.ReplaceAll(CommandLine(s.Command), "`", "'"))
	return []byte(b.String())
}

// SuiteJUnit makes the XML of all scenarios: the suites of each run. A scenario that did not come to a run is a suite of one case.
func SuiteJUnit(s Suite) ([]byte, error) {
	all := junit.Testsuites{Name: "relapse", Time: junitTime(s.Took)}
	for _, r := range s.Scenarios {
		if r.Data != nil {
			for _, one := range r.Data.junit().Suites {
				all.AddSuite(one)
			}
		}
		if r.Data == nil || r.Error != "" {
			one := junit.Testsuite{Name: clean("relapse." + r.Scenario), Time: junitTime(r.Took)}
			c := junit.Testcase{Name: clean("scenario " + r.Scenario), Classname: one.Name}
			mark(&c, r.Outcome, r.text())
			one.AddTestcase(c)
			all.AddSuite(one)
		}
	}
	return writeJUnit(all)
}
