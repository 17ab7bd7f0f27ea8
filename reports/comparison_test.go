package reports

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// hostileComparison has a failed run in HEAD, and markup and control characters wherever a stranger's file has a text.
func hostileComparison() compare.Comparison {
	const nasty = "<script>alert(1)</script>|`\x1b[2J]]>\x00\n**x**"
	c := compare.NewComparer(nasty, nasty)
	for i := range 3 {
		r := &results.Result{
			Run: fmt.Sprint(i), Scenario: "a" + nasty, Title: nasty, Variant: nasty, Start: time.Date(2026, 11, 30, i, 0, 0, 0, time.UTC), Folder: nasty,
			Env:     results.Environment{Cluster: nasty, Proxy: nasty, Host: nasty},
			Command: []string{"relapse", nasty}, Versions: map[string]string{nasty: fmt.Sprint(i), "kernel": strings.Repeat("1.", i+1)},
			Outcome: judge.Pass, Claims: []results.Claim{{ID: nasty, Expected: judge.Holds, Result: judge.Holds}},
			Phases: []results.Phase{{Name: nasty, Outcome: judge.Pass, Probes: map[string]results.Samples{nasty: {Count: 1, P50: float64(i)}}}},
		}
		if i < 2 {
			c.Base(r)
			continue
		}
		r.Outcome, r.Reason, r.Claims[0].Result, r.Phases[0].Outcome, r.Phases[0].Why = judge.Fail, nasty, judge.Refuted, judge.Fail, nasty
		c.Head(r)
	}
	out := c.Comparison()
	out.Problems = []string{nasty}
	return out
}

func TestComparisonsInjectNothing(t *testing.T) {
	g := NewWithT(t)
	c := hostileComparison()
	var out strings.Builder
	g.Expect(ComparisonTerminal(&out, c, 80, false)).To(Succeed())
	g.Expect(out.String()).NotTo(ContainSubstring("\x1b"))
	g.Expect(out.String()).To(ContainSubstring("worse  outcome: failed 1 of 1, before 0 of 2"))

	text := string(ComparisonMarkdown(c))
	outside := regexp.MustCompile("(?m) `[^`\n]*`$").ReplaceAllString(text, "") // of code, in which markup is only text
	g.Expect(outside).NotTo(Equal(text))
	g.Expect(outside).NotTo(ContainSubstring("<script"))
	g.Expect(outside).NotTo(ContainSubstring("**x**"))
	g.Expect(text).NotTo(ContainSubstring("\x1b"))
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "|") {
			g.Expect(strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")).To(Equal(5), line)
		}
	}

	suites, err := ComparisonJUnit(c)
	g.Expect(err).NotTo(HaveOccurred())
	var parsed struct {
		Suites []struct {
			Cases []struct {
				Name    string `xml:"name,attr"`
				Failure string `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	g.Expect(xml.Unmarshal(suites, &parsed)).To(Succeed())
	g.Expect(parsed.Suites[0].Cases[0].Name).To(HavePrefix("a<script>"))
	g.Expect(parsed.Suites[0].Cases[0].Failure).To(HavePrefix("worse: outcome: failed 1 of 1, before 0 of 2\n"))
	g.Expect(string(suites)).To(ContainSubstring(`tests="1" failures="1"`))
}

// What a person reads fits the terminal, but for words that are longer than that.
func TestComparisonFitsATerminal(t *testing.T) {
	g := NewWithT(t)
	c := compare.NewComparer("results?until=2026-11-29", "results?since=2026-11-30")
	for i := range 12 {
		recovery := 1 + float64(i)/100
		r := &results.Result{
			Run: fmt.Sprint(i), Scenario: "conntrack-exhaustion", Variant: "node-table", Start: time.Date(2026, 11, 30, i, 0, 0, 0, time.UTC), Outcome: judge.Pass,
			Env: results.Environment{Cluster: "kind", CNI: "cilium", Proxy: "nftables", Kubernetes: "1.36", Kernel: "6.18"}, Versions: map[string]string{"kernel": "6.18.44"},
			Phases: []results.Phase{{Name: "remedy/larger-table", Outcome: judge.Pass, Recovery: &recovery}},
		}
		c.Base(r)
		slower := recovery * 1.5
		later := *r
		later.Phases = []results.Phase{{Name: "remedy/larger-table", Outcome: judge.Pass, Recovery: &slower}}
		later.Versions = map[string]string{"kernel": "6.18.50"}
		c.Head(&later)
	}
	var out strings.Builder
	g.Expect(ComparisonTerminal(&out, c.Comparison(), 80, false)).To(Succeed())
	g.Expect(out.String()).To(ContainSubstring(strings.Join([]string{
		"✗ conntrack-exhaustion/node-table  kind/cilium/nftables/k8s-1.36/linux-6.18",
		"    worse  time to recover in remedy/larger-table: 1.58 s (1.53 s to 1.64 s) in",
		"           12 runs, before 1.06 s (1.02 s to 1.09 s) in 12 runs: +50 %, longer",
		"           in 100 % of pairs of runs, corrected p = 7.4e-07",
	}, "\n")))
	g.Expect(out.String()).To(ContainSubstring("versions that differ  kernel 6.18.44 → 6.18.50"))
	for line := range strings.Lines(out.String()) {
		g.Expect(utf8.RuneCountInString(strings.TrimSuffix(line, "\n"))).To(BeNumerically("<=", 80), line)
	}
}
