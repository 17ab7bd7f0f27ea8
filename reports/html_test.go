package reports

import (
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/relapse-k8s/relapse/clusters/logs"
	"github.com/relapse-k8s/relapse/clusters/offers"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// between returns what is inside an element that is there once.
func between(t *testing.T, page, open, end string) string {
	t.Helper()
	NewWithT(t).Expect(strings.Count(page, open)).To(Equal(1))
	_, rest, _ := strings.Cut(page, open)
	inside, _, _ := strings.Cut(rest, end)
	return inside
}

func TestThePolicyAllowsWhatThePageHasAndNoMore(t *testing.T) {
	g := NewWithT(t)
	run, err := HTML(dnsRun(t, false))
	g.Expect(err).NotTo(HaveOccurred())
	suite, err := SuiteHTML(suiteOf(t))
	g.Expect(err).NotTo(HaveOccurred())
	for _, out := range [][]byte{run, suite} {
		page := html.UnescapeString(string(out))
		style, script := between(t, page, "<style>", "</style>"), between(t, page, "<script>", "</script>")
		g.Expect(style).To(Equal(asset("style.css")))
		g.Expect(script).To(Equal(asset("print.js")))
		g.Expect(page).To(ContainSubstring(`http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src ` + digest(style) + "; script-src " + digest(script) + ";"))
		g.Expect(page).NotTo(MatchRegexp(`\sstyle="`), "the policy forbids style attributes")
		g.Expect(page).NotTo(MatchRegexp(`\son[a-z]+="`), "the policy forbids handlers")
		g.Expect(page).NotTo(ContainSubstring("javascript:"))
		for _, src := range regexp.MustCompile(`(?:src|<link[^>]*href)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
			g.Expect(src[1]).To(Equal("data:,"), "nothing is loaded")
		}
		for _, missing := range []string{"ZgotmplZ", "NaN", "%!"} {
			g.Expect(page).NotTo(ContainSubstring(missing))
		}
	}
}

func TestTextFromTheRunIsNoMarkup(t *testing.T) {
	const evil = `"><script>alert(1)</script><!--`
	g := NewWithT(t)
	d := dnsRun(t, true)
	d.Run.Title, d.Run.Command = evil, []string{evil}
	d.Run.Versions[evil] = evil
	d.Run.Offers[evil] = offers.Offer{Why: evil}
	d.Verdict.Reason = evil
	d.Verdict.Variants[1].Phases[1].Checks[0] = judge.Check{What: evil, Seen: evil, Lane: evil}
	d.Verdict.Claims[0].Says = evil
	d.Scenario.Metadata.Title, d.Scenario.Remedies[0].Title = evil, evil
	d.Evidence = append(d.Evidence, EvidenceFile{Name: evil, Title: evil, On: evil, Text: evil}, EvidenceFile{Name: evil, Raw: []byte{0}})
	d.Events = append(d.Events, history.Event{Lane: evil + "/x", Phase: evil, Kind: history.PhaseBegin}, history.Event{Kind: history.KindLog, Log: &logs.Line{Line: evil, Event: evil}})
	out, err := HTML(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Count(string(out), "<script>")).To(Equal(1), "only the page's own")
	g.Expect(string(out)).NotTo(ContainSubstring("<!--"))
	_, err = JUnit(d)
	g.Expect(err).NotTo(HaveOccurred())
}

func TestIDsAreUnique(t *testing.T) {
	out, err := HTML(dnsRun(t, false))
	g := NewWithT(t)
	g.Expect(err).NotTo(HaveOccurred())
	seen := map[string]bool{}
	for _, id := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(string(out), -1) {
		g.Expect(seen[id[1]]).To(BeFalse(), id[1])
		seen[id[1]] = true
	}
}

func TestARunOfThousandsStaysSmall(t *testing.T) {
	g := NewWithT(t)
	s := &synth{}
	for _, lane := range []string{"default/a", "default/b", "default/c"} {
		s.lane(lane, "connect", 1, map[string]float64{"drop": 0}, []act{
			{Phase: "baseline", Every: 0.002, Took: 0.001, Attempts: 10_000},
			{Phase: "fault", Every: 0.002, Took: 1, Attempts: 10_000, Error: "i/o timeout", Rise: map[string]float64{"drop": 1}},
		})
	}
	out, err := HTML(Data{Run: rundir.Run{ID: "big"}, Events: s.events})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(len(out)).To(BeNumerically("<", 256<<10))
}

func TestNothingButARunFile(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	_, err := FromDir(dir, nil)
	g.Expect(err).To(MatchError(ContainSubstring("not a run folder")))
	g.Expect(rundir.WriteJSON(dir, rundir.RunFile, rundir.Run{Scenario: "dns-5s"})).To(Succeed())
	d, err := FromDir(dir, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Crashed).To(BeTrue())
	g.Expect(d.Verdict.Outcome).To(Equal(judge.Inconclusive))
	g.Expect(Write(dir, d)).To(Succeed())
	g.Expect(filepath.Join(dir, rundir.ReportFile)).To(BeARegularFile())
	suites, err := os.ReadFile(filepath.Join(dir, rundir.JUnitFile))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(suites)).To(ContainSubstring("<failure"), "a crash is red")
}

func TestDamageIsToldAndNotFatal(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(rundir.WriteJSON(dir, rundir.RunFile, rundir.Run{Scenario: "dns-5s"})).To(Succeed())
	g.Expect(rundir.WriteFile(dir, rundir.HistoryFile, []byte("{}\nnot json\n"))).To(Succeed())
	g.Expect(rundir.WriteFile(dir, rundir.VerdictFile, []byte("{"))).To(Succeed())
	d, err := FromDir(dir, nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(d.Problems).To(HaveLen(2))
	g.Expect(d.Crashed).To(BeTrue())
	out, err := HTML(d)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(out)).To(ContainSubstring("history could not be read"))
}
