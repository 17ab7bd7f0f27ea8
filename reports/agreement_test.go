package reports

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/agree"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/scenario"
)

// agreementOf is a made-up agreement in which there is a row of every kind.
func agreementOf(outcome judge.Outcome) agree.Agreement {
	phase := func(result agree.Result, why, variant, name string, answers ...agree.Answer) agree.Row {
		return agree.Row{Subject: scenario.Subject{Variant: variant, Phase: name}, Answers: [2]agree.Answer(answers), Result: result, Why: why}
	}
	detector := func(result agree.Result, why, name, id string, says ...string) agree.Row {
		r := phase(result, why, "forced", name, agree.Answer{Says: says[0], Seen: "insert_failed rose by 25"}, agree.Answer{Says: says[1], Seen: "insert_failed rose by 0"})
		r.Detector = id
		return r
	}
	claim := func(result agree.Result, why, id string, says ...string) agree.Row {
		return agree.Row{Subject: scenario.Subject{Claim: id}, Answers: [2]agree.Answer{{Says: says[0], Seen: "0 of 25"}, {Says: says[1], Seen: "25 of 25"}}, Result: result, Why: why}
	}
	well := agree.Answer{Says: judge.Absent, Seen: "0/25", Outcome: judge.Pass}
	sick := agree.Answer{Says: judge.Shown, Seen: "25/25", Outcome: judge.Pass}
	a := agree.Agreement{
		Scenario: "dns-5s", Outcome: outcome, Reason: "3 points are unexplained; both say the same on 5 points",
		Runs: [2]agree.Summary{
			{Name: "kind", Folder: "runs/20261121-120000-dns-5s-kind", Cluster: "kind", Proxy: "iptables", Start: "2026-11-21T12:00:00Z", Outcome: judge.Fail},
			{Name: "lab", Folder: "runs/20261121-100000-dns-5s-lab", Cluster: "lab", Proxy: "iptables", Start: "2026-11-21T10:00:00Z", Outcome: judge.Pass},
		},
		Notes:  []string{"They ran on different kernels: 6.18 (kind) and 6.1 (lab)."},
		Counts: map[agree.Result]int{agree.Same: 5, agree.Explained: 2, agree.Unexplained: 3, agree.Open: 1, agree.Skipped: 3},
		Rows: []agree.Row{
			{Subject: scenario.Subject{Variant: "native"}, Result: agree.Skipped, Why: "kind: this machine does not offer nfqueue: no such module"},
			phase(agree.Same, "", "forced", "baseline", well, well),
			detector(agree.Same, "", "baseline", "drop", "quiet", "quiet"),
			detector(agree.Skipped, "kind: it needs kernel-log, which is not offered", "baseline", "log", "", "quiet"),
			phase(agree.Same, "", "forced", "fault", sick, sick),
			detector(agree.Unexplained, "", "fault", "drop", "fired", "quiet"),
			phase(agree.Unexplained, "kind: lookup: 99th percentile at most 500ms: 2 s", "forced", "remedy/single-request-reopen",
				agree.Answer{Says: judge.Absent, Seen: "0/25", Outcome: judge.Fail}, well),
			phase(agree.Open, "kind: the phase runs to its end: it never ended", "forced", "relapse/single-request-reopen", agree.Answer{Outcome: judge.Inconclusive}, sick),
			phase(agree.Explained, "A made-up reason that takes so many words that they do not fit into one line.", "forced", "control/lower-ndots", sick, well),
			phase(agree.Skipped, "kind: the phase was not run", "forced", "restored", agree.Answer{}, well),
			claim(agree.Same, "", "kernel-repairs", "holds", "holds"),
			claim(agree.Explained, "it is expected so: holds without proxy-iptables (lab), refuted with proxy-iptables (kind)", "delay-is-five-seconds", "refuted", "holds"),
			claim(agree.Unexplained, "the scenario explains something else (fired on lab, quiet on kind): a reason", "fewer-queries", "refuted", "refuted"),
		},
	}
	return a
}

func TestGoldenAgreement(t *testing.T) {
	g := NewWithT(t)
	a := agreementOf(judge.Fail)
	var text strings.Builder
	g.Expect(AgreementTerminal(&text, a, 80, false)).To(Succeed())
	golden(t, "agreement.txt", []byte(text.String()))

	text.Reset()
	other := agreementOf(judge.Pass)
	other.Scenario, other.Rows, other.Notes = "tcp-invalid-rst-service", nil, nil
	missing := []agree.Agreement{
		agree.Missing("mtu", [2]string{"1-mtu"}, judge.Skipped, "runs-kind has no run of it"), agree.Missing("snat", [2]string{1: "2-snat"}, judge.Inconclusive, "runs-lab lists it but has no run of it"),
	}
	g.Expect(AgreementsTerminal(&text, []agree.Agreement{a, other}, missing, 80, false)).To(Succeed())
	golden(t, "agreements.txt", []byte(text.String()))

	view := viewAgreement(a)
	section, err := render("agreement.html", page{Agreement: &view})
	g.Expect(err).NotTo(HaveOccurred())
	golden(t, "agreement.html", section)
}

func TestAgreementFitsAndNeedsNoColour(t *testing.T) {
	g := NewWithT(t)
	a := agreementOf(judge.Fail)
	for _, width := range []int{60, 80, 120} {
		var plain, coloured strings.Builder
		for text, color := range map[*strings.Builder]bool{&plain: false, &coloured: true} {
			g.Expect(AgreementTerminal(text, a, width, color)).To(Succeed())
			if width >= 80 {
				g.Expect(AgreementsTerminal(text, []agree.Agreement{a}, nil, width, color)).To(Succeed())
			}
		}
		for _, line := range strings.Split(plain.String(), "\n") {
			if !strings.Contains(line, "report.html") { // a path is never broken
				g.Expect(utf8.RuneCountInString(line)).To(BeNumerically("<=", width), line)
			}
		}
		g.Expect(coloured.String()).To(ContainSubstring("\x1b"))
		g.Expect(escape.ReplaceAllString(coloured.String(), "")).To(Equal(plain.String()))
	}
}

// TestARunTellsOfItsAgreement in every form of its report; a run that passed and disagrees is red in continuous integration.
func TestARunTellsOfItsAgreement(t *testing.T) {
	g := NewWithT(t)
	d := dnsRun(t, false)
	a := agreementOf(judge.Fail)
	a.Runs[0].Folder = "."
	d.Agreement = &a
	page, err := HTML(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(page)).To(ContainSubstring(`<a href="#agreement">Agreement</a>`))
	g.Expect(string(page)).To(ContainSubstring(`<a href="runs/20261121-100000-dns-5s-lab/report.html">its report</a>`))
	g.Expect(string(page)).To(ContainSubstring("they do not agree:"), "above, where people look first")
	for _, missing := range []string{"ZgotmplZ", "NaN", "%!"} {
		g.Expect(string(page)).NotTo(ContainSubstring(missing))
	}
	suites, err := JUnit(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(xml.Unmarshal(suites, new(struct{}))).To(Succeed())
	g.Expect(string(suites)).To(ContainSubstring(`name="agrees with lab"`))
	g.Expect(string(suites)).To(ContainSubstring("unexplained: forced, fault, detector drop: fired in kind, quiet in lab"))
	g.Expect(string(suites)).To(ContainSubstring("<failure"))
	var text strings.Builder
	g.Expect(Terminal(&text, d, 80, false)).To(Succeed())
	g.Expect(text.String()).To(ContainSubstring("✗ disagree with lab: 3 points are unexplained"))
	g.Expect(string(Markdown(d))).To(ContainSubstring("✗ disagree with lab: 3 points"))
}

// TestASuiteTellsOfItsAgreements, and of scenarios that have nothing to be held against.
func TestASuiteTellsOfItsAgreements(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	g := NewWithT(t)
	s := suiteOf(t)
	s.AgreeWith = "runs-lab"
	bad, good := agreementOf(judge.Fail), agreementOf(judge.Pass)
	bad.Rows[6].Why, good.Rows, good.Scenario = evil, nil, "conntrack-exhaustion"
	s.Scenarios[0].Agreement, s.Scenarios[1].Agreement = &bad, &good
	g.Expect(s.reason()).To(HaveSuffix("; 1 of 2 agree with runs-lab"))
	out, err := SuiteHTML(s)
	g.Expect(err).NotTo(HaveOccurred())
	page := string(out)
	g.Expect(strings.Count(page, "<script>")).To(Equal(1), "only the page's own")
	g.Expect(page).To(ContainSubstring("No run to compare with"))
	g.Expect(strings.Index(page, "forced, fault, detector drop")).To(BeNumerically("<", strings.Index(page, "forced, control/lower-ndots")), "what nobody explains is first")
	var text strings.Builder
	g.Expect(SuiteTerminal(&text, s, 80, false)).To(Succeed())
	g.Expect(text.String()).To(ContainSubstring("\ncompared with runs-lab\n"))
	g.Expect(text.String()).To(ContainSubstring("\n  – no two runs to compare: mtu-blackhole\n"))
	g.Expect(text.String()).To(MatchRegexp(`dns-5s +✗ disagree +5 +2 +3 +1 +3`))
	g.Expect(string(SuiteMarkdown(s))).To(ContainSubstring("| dns-5s | ✗ disagree | 3 points"))
}
