package website

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/relapse-k8s/relapse/harness/known"
	"github.com/relapse-k8s/relapse/harness/results"
)

// siteOf is a site over generated results, made some hours after the last of them.
func siteOf(all []*results.Result) Site {
	return Site{Results: all, Now: all[len(all)-1].Start.Add(5 * time.Hour), Stale: 48 * time.Hour, Nights: 5, Repository: "https://example.com/me/cni", Runs: "../runs"}
}

// brokenSite has a remedy that does not cure any more since the last three of twelve nights, in one environment.
func brokenSite() Site {
	return siteOf(nights(12, 6, 3, func(night int, r *results.Result) {
		if night >= 9 {
			r.Versions["kernel"] = "6.18.45"
			if r.Scenario == "scenario-03" && r.Env.Proxy == "iptables" {
				broken(r)
			}
		}
	}))
}

func write(t *testing.T, site Site) (string, Done) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	if keep := os.Getenv("RELAPSE_SITE"); keep != "" { // to look at
		dir = filepath.Join(keep, t.Name())
	}
	done, err := Write(context.Background(), dir, site)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return dir, done
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return string(data)
}

func TestTheFirstPageNamesTheFirstBadRunAndTheLastGoodOne(t *testing.T) {
	g := NewWithT(t)
	site := brokenSite()
	dir, done := write(t, site)
	g.Expect(done.Worse).To(BeTrue())
	g.Expect(done.Line).To(HavePrefix("6 scenarios in 3 environments: 1 changed (1 worse). The newest result was 5 hours old"))
	page := read(t, dir, "index.html")
	g.Expect(page).To(ContainSubstring(done.Line))
	g.Expect(page).To(ContainSubstring("10 October 2026, 03:03 UTC"), "first bad run")
	g.Expect(page).To(ContainSubstring("9 October 2026, 03:03 UTC"), "last good run")
	g.Expect(page).To(MatchRegexp(`<b>kernel</b> 6.18.44 .*6.18.45`))
	g.Expect(page).To(ContainSubstring("relapse run scenario-03 --seed 7 --proxy iptables"))
}

func TestTheFirstPageTellsAFaultThatMissesAndASlowerRecovery(t *testing.T) {
	g := NewWithT(t)
	_, done := write(t, siteOf(nights(30, 46, 1, nil)))
	g.Expect(done.Worse).To(BeFalse(), done.Line)
	dir, done := write(t, siteOf(nights(30, 46, 1, func(night int, r *results.Result) {
		switch {
		case r.Scenario == "scenario-03" && night == 29: // every third attempt is missed, in one night
			r.Reproduction.Attempts = 30
		case r.Scenario == "scenario-07" && night >= 22:
			slower := 1.3 * *r.Phases[2].Recovery
			r.Phases[2].Recovery = &slower
		}
	})))
	g.Expect(done.Line).To(HavePrefix("46 scenarios in 1 environment: 2 changed (2 worse)."))
	page := read(t, dir, "summary.md")
	g.Expect(page).To(ContainSubstring("attempts that the fault met: 20 of 30"))
	g.Expect(page).To(MatchRegexp(`scenario-07.*time to recover in remedy/use-vc.*23 October 2026, 03:07 UTC \| 22 October 2026`), "the first slow run, and the last one before")
}

func TestPagesOfAScenarioTellWhatChangedAndWhatIsKnown(t *testing.T) {
	g := NewWithT(t)
	site := brokenSite()
	pages := []string{"scenarios/scenario-03.html", auditFile("scenario-03", "lab/iptables/linux-6.18")}
	dir, _ := write(t, site)
	for _, page := range pages {
		g.Expect(read(t, dir, page)).To(And(MatchRegexp(`What changed.*\n.*Worse.*First such run: 10 October 2026, 03:03 UTC`), Not(ContainSubstring("<b>Known:</b>"))), page)
	}
	g.Expect(read(t, dir, "scenarios/scenario-02.html")).NotTo(ContainSubstring("What changed</h2>"))

	var err error
	site.Known, err = known.Parse("known.yaml", []byte("- scenario: scenario-03\n  variant: default\n  what: '*'\n  why: the new kernel\n  until: 2027-01-31\n"))
	g.Expect(err).NotTo(HaveOccurred())
	dir, done := write(t, site)
	g.Expect(done.Worse).To(BeFalse())
	for _, page := range pages {
		g.Expect(read(t, dir, page)).To(ContainSubstring("<b>Known:</b> the new kernel (until 2027-01-31)."), page)
	}
}
