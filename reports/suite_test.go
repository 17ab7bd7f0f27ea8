package reports

import (
	"encoding/json"
	"encoding/xml"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// suiteOf is a suite of made-up runs: one that passed, one that did not, and one that did not come to a run.
func suiteOf(t *testing.T) Suite {
	s := Suite{
		Dir: "runs/suite/20261121-041015", Start: "2026-11-21T04:10:15.25Z", Took: 81.2, Command: []string{"relapse", "run", "--all", "--proxy", "nftables", "--seed", "7", "--jobs", "6"},
		Cluster: "lab", Proxy: "nftables", Seed: 7, Jobs: 6, Shard: &Shard{Number: 2, Of: 14, Scenarios: 42}, Outcome: judge.Fail,
	}
	for _, d := range []Data{dnsRun(t, true), conntrackRun(t)} {
		s.Scenarios = append(s.Scenarios, SuiteRun{
			Scenario: d.Run.Scenario, Title: d.title(), Outcome: d.Verdict.Outcome, Reason: d.Verdict.Reason, Took: d.duration(),
			Claims: Count(d.Verdict.Claims), Run: "../../" + d.Run.ID, Data: &d,
		})
	}
	s.Scenarios[0].Data.Verdict.Claims[0].Result = judge.Refuted
	s.Scenarios[0].Claims = Count(s.Scenarios[0].Data.Verdict.Claims)
	s.Scenarios = append(s.Scenarios, SuiteRun{
		Scenario: "mtu-blackhole", Title: "Large packets vanish", Outcome: judge.Inconclusive, Reason: "it was never begun: ended by signal: interrupt",
	})
	return s
}

func TestGoldenSuite(t *testing.T) {
	g := NewWithT(t)
	s := suiteOf(t)
	page, err := render("suite.html", s.page())
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "suite.html", page)
	suites, err := SuiteJUnit(s)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(xml.Unmarshal(suites, new(struct{}))).To(Succeed())
	golden(t, "suite.junit.xml", suites)
	var text strings.Builder
	g.Expect(SuiteTerminal(&text, s, 80, false)).To(Succeed())
	golden(t, "suite.txt", []byte(text.String()))
	golden(t, "suite.md", SuiteMarkdown(s))
	data, err := json.MarshalIndent(s, "", "  ")
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "suite.json", append(data, '\n'))
}

func TestClaimsAgainstExpectationComeFirst(t *testing.T) {
	g := NewWithT(t)
	var classes []string
	for _, c := range suiteOf(t).claims() {
		classes = append(classes, c.Result.Class)
	}
	g.Expect(classes).To(Equal([]string{"fail", "finding", "finding", "skipped"}))
}

func TestASuiteThatIsNotAPassIsRed(t *testing.T) {
	g := NewWithT(t)
	for outcome, red := range map[judge.Outcome]bool{judge.Pass: false, judge.Skipped: false, judge.Fail: true, judge.Inconclusive: true} {
		out, err := SuiteJUnit(Suite{Scenarios: []SuiteRun{{Scenario: "dns-5s", Outcome: outcome, Reason: "why"}}})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(regexp.MustCompile("<failure|<error").Match(out)).To(Equal(red), "%s", outcome)
	}
}

func TestTheSuitesPageIsSafeAndWhole(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	g := NewWithT(t)
	s := suiteOf(t)
	s.Scenarios[0].Title, s.Scenarios[1].Reason, s.Scenarios[1].Run = evil, evil, `../../a"b?c#d`
	s.Command = []string{evil}
	out, err := SuiteHTML(s)
	g.Expect(err).NotTo(HaveOccurred())
	page := string(out)
	g.Expect(strings.Count(page, "<script>")).To(Equal(1), "only the page's own")
	g.Expect(page).To(ContainSubstring(`href="../../a%22b%3Fc%23d/report.html"`))
	g.Expect(page).To(ContainSubstring(`href="../../20261121-0410-dns-5s/report.html"`))
	for _, missing := range []string{"ZgotmplZ", "NaN", "%!"} {
		g.Expect(page).NotTo(ContainSubstring(missing))
	}
}

func TestTheSuitesTableNeedsNoColour(t *testing.T) {
	g := NewWithT(t)
	var plain, coloured strings.Builder
	g.Expect(SuiteTerminal(&plain, suiteOf(t), 80, false)).To(Succeed())
	g.Expect(SuiteTerminal(&coloured, suiteOf(t), 80, true)).To(Succeed())
	g.Expect(escape.ReplaceAllString(coloured.String(), "")).To(Equal(plain.String()))
	for _, line := range strings.Split(plain.String(), "\n") {
		if !strings.Contains(line, "report.html") { // a path is never broken
			g.Expect(utf8.RuneCountInString(line)).To(BeNumerically("<=", 80), line)
		}
	}
}
