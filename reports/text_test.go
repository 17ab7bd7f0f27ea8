package reports

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/judge"
)

var escape = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestTerminalFitsAndNeedsNoColour(t *testing.T) {
	g := NewWithT(t)
	for _, d := range []Data{dnsRun(t, false), dnsRun(t, true), conntrackRun(t), crashRun(t)} {
		for _, width := range []int{60, 80, 120} {
			var plain, coloured strings.Builder
			g.Expect(Terminal(&plain, d, width, false)).To(Succeed())
			g.Expect(Terminal(&coloured, d, width, true)).To(Succeed())
			for _, line := range strings.Split(plain.String(), "\n") {
				g.Expect(utf8.RuneCountInString(line)).To(BeNumerically("<=", width), line)
			}
			g.Expect(plain.String()).NotTo(ContainSubstring("\x1b"))
			g.Expect(coloured.String()).To(ContainSubstring("\x1b"))
			g.Expect(escape.ReplaceAllString(coloured.String(), "")).To(Equal(plain.String()))
		}
	}
}

func TestTerminalObeysNoRecordedEscape(t *testing.T) {
	g := NewWithT(t)
	d := crashRun(t)
	d.Verdict.Reason = "\x1b[2Jgone"
	var out strings.Builder
	g.Expect(Terminal(&out, d, 80, false)).To(Succeed())
	g.Expect(out.String()).NotTo(ContainSubstring("\x1b"))
}

func TestJUnitIsRedUnlessPassedOrSkipped(t *testing.T) {
	g := NewWithT(t)
	for outcome, red := range map[judge.Outcome]bool{judge.Pass: false, judge.Skipped: false, judge.Fail: true, judge.Inconclusive: true} {
		// Set-up died: the verdict has no phases.
		d := Data{Verdict: judge.Verdict{Outcome: outcome, Reason: "why", Variants: []judge.Variant{{Name: "default", Outcome: outcome}}, Restored: judge.Restored{Clean: true}}}
		out, err := JUnit(d)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(regexp.MustCompile("<failure|<error").Match(out)).To(Equal(red), "%s", outcome)
	}
}

func TestMarkdownKeepsTablesWhole(t *testing.T) {
	g := NewWithT(t)
	g.Expect(MarkdownText("a|b\n<i>*x*")).To(Equal(`a\|b &lt;i>\*x\*`))
	g.Expect(shellQuote("it's")).To(Equal(`'it'\''s'`))
	g.Expect(Percent(0.9785)).To(Equal("97.9 %"))
}
