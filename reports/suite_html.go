package reports

import (
	"net/url"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// suitePage is what the template of a suite shows.
type suitePage struct {
	Frame

	Outcome Badge
	Title   string
	Facts   []pair
	Rows    []suiteRow
	Claims  []suiteClaim
	// Agreement is the comparison with other runs, if there is one.
	Agreement   *suiteAgreement
	Environment environment
	Command     string
	Seed        uint64
}

// suiteRow is one scenario. Report is empty if it did not come to a run.
type suiteRow struct {
	Scenario, Title, Report string
	Outcome                 Badge
	Reason, Took            string
	Claims                  Tally
}

// SuiteHTML makes the page over the reports of a suite: one file that needs nothing else, with links to them.
func SuiteHTML(s Suite) ([]byte, error) {
	p := s.page()
	p.Frame = NewFrame()
	return render("suite.html", p)
}

func (s Suite) page() suitePage {
	p := suitePage{
		Outcome: OutcomeBadge(s.Outcome), Title: s.reason(), Claims: s.claims(), Command: CommandLine(s.Command), Seed: s.Seed,
		Environment: s.environment(), Agreement: s.agreement(),
	}
	for i := range p.Claims {
		p.Claims[i].Report = href(p.Claims[i].Report)
	}
	p.Facts = []pair{{"Cluster", s.Cluster, ""}, {"kube-proxy", s.Proxy, ""}}
	for _, v := range p.Environment.Versions {
		if v.Name == "kernel" {
			p.Facts = append(p.Facts, pair{"Kernel", v.Value, ""})
		}
	}
	if s.Shard != nil {
		p.Facts = append(p.Facts, pair{"Part", s.Shard.String(), ""})
	}
	p.Facts = append(p.Facts, pair{"Took", units.Seconds(s.Took), ""}, pair{"Labs at once", units.Number(float64(s.Jobs)), ""}, pair{"Date", Date(s.Start), ""})
	for _, r := range s.Scenarios {
		p.Rows = append(p.Rows, suiteRow{r.Scenario, r.Title, href(r.report()), OutcomeBadge(r.Outcome), r.text(), units.Seconds(r.Took), r.Claims})
	}
	return p
}

// environment is that of the runs: they were all made on one machine.
func (s Suite) environment() environment {
	var env environment
	for _, r := range s.Scenarios {
		if r.Data == nil {
			continue
		}
		of := r.Data.environment()
		if env.Versions == nil {
			env.Versions, env.Offers = of.Versions, of.Offers
		}
		for _, d := range of.Differences {
			if !slices.Contains(env.Differences, d) {
				env.Differences = append(env.Differences, d)
			}
		}
		for _, skipped := range of.Skipped {
			env.Skipped = append(env.Skipped, pair{r.Scenario + ", " + skipped.Name, skipped.Value, ""})
		}
	}
	return env
}

// href escapes a relative path, part by part.
func href(path string) string {
	parts := strings.Split(path, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}
