package website

import (
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/reports"
)

// comparisonPage is one comparison in full.
type comparisonPage struct {
	head

	Reason string
	// Sides are Base and Head.
	Sides    [2]side
	Versions []envVersions
	// Pairs that changed come first.
	Pairs []pairRow
	// Tests found a difference; Shy would need more runs to find one. There were AllShy of those.
	Tests, Shy []testRow
	AllShy     int
	Method     methodSection
	// Problems are what could not be read.
	Problems []string
}

type side struct{ Name, Runs, From, To, Envs string }

type envVersions struct {
	Env    string
	Differ []versionChange
}

type pairRow struct {
	Scenario, Variant, Env, Link, Audit string
	Mark                                reports.Badge
	Outcomes                            [2]string
	Findings                            []finding
}

// testRow is a rate or a time on both sides.
type testRow struct {
	Scenario, Variant, Env, Name string
	Base, Head, Q                string
	// Need says how many runs would do.
	Need string
	Mark reports.Badge
}

type methodSection struct {
	Alpha, Correction, Why string
	Tests, Family          int
}

// maxTests is how many tests are listed on a page.
const maxTests = 200

func (b *builder) comparison(path, title string, c *compare.Comparison) ([]byte, error) {
	p := comparisonPage{
		head: b.head(path, reports.ChangeBadge(c.Change), title), Reason: c.Says, Sides: [2]side{sideOf(c.Base), sideOf(c.Head)}, Problems: c.Problems,
		Method: methodSection{reports.Percent(c.Method.Alpha), c.Method.Correction, c.Method.Why, c.Method.Tests, c.Method.Family},
	}
	for _, v := range c.Versions {
		p.Versions = append(p.Versions, envVersions{v.Env, versionsOf(v.Differ)})
	}
	for i := range c.Pairs {
		pair := &c.Pairs[i]
		row := pairRow{
			Scenario: pair.Scenario, Variant: pair.Variant, Env: pair.Env, Link: scenarioFile(pair.Scenario), Audit: b.auditOf(pair.Scenario, pair.Env),
			Mark: reports.ChangeBadge(pair.Change),
		}
		for side := range 2 {
			row.Outcomes[side] = outcomes(pair, side)
		}
		for _, f := range pair.Findings {
			row.Findings = append(row.Findings, finding{f.Sentence(), f.Why})
		}
		p.Pairs = append(p.Pairs, row)
		for _, t := range pair.Tests {
			if t.Change != compare.Same && t.Change != compare.NotEnough && len(p.Tests) < maxTests {
				p.Tests = append(p.Tests, testRowOf(pair, t))
			}
		}
	}
	shy := c.Shy()
	p.AllShy = len(shy)
	for _, t := range shy[:min(len(shy), maxTests)] {
		p.Shy = append(p.Shy, testRowOf(&t.Pair, t.Test))
	}
	return render("comparison.html", p)
}

func testRowOf(pair *compare.Pair, t compare.Test) testRow {
	row := testRow{
		Scenario: pair.Scenario, Variant: pair.Variant, Env: pair.Env, Name: t.Subject.String(),
		Base: sampleOf(t.Base), Head: sampleOf(t.Head), Q: fmt.Sprintf("%.2g", t.Q), Mark: reports.ChangeBadge(t.Change),
	}
	switch {
	case t.Need[0] > 0 && t.Need[0] == t.Need[1]:
		row.Need = fmt.Sprintf("%d each", t.Need[0])
	case t.Need[0] > 0:
		row.Need = fmt.Sprintf("%d and %d", t.Need[0], t.Need[1])
	}
	return row
}

// auditOf is the audit page of a scenario in an environment, if the site has one.
func (b *builder) auditOf(scenario, env string) string {
	for _, s := range b.past.of(scenario) {
		if s.env == env {
			return auditFile(scenario, env)
		}
	}
	return ""
}

func sideOf(s compare.Side) side {
	one := side{Name: s.Name, Runs: plural(s.Runs, "run") + ", " + plural(s.Results, "result"), Envs: strings.Join(s.Envs, ", ")}
	if !s.Oldest.IsZero() {
		one.From, one.To = full(s.Oldest), full(s.Newest)
	}
	return one
}

func outcomes(p *compare.Pair, side int) string {
	var parts []string
	for _, o := range outcomeOrder {
		if n := p.Outcomes[side][o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	if len(parts) == 0 {
		return "no run"
	}
	return strings.Join(parts, ", ")
}

func sampleOf(s compare.Sample) string {
	if s.Rate() {
		return fmt.Sprintf("%d of %d", s.Hits, s.Trials)
	}
	text := units.Seconds(s.Median)
	if s.High > s.Low {
		text += fmt.Sprintf(" (%s to %s)", units.Seconds(s.Low), units.Seconds(s.High))
	}
	return text + ", " + plural(s.Runs, "run")
}

func versionsOf(all []compare.VersionChange) []versionChange {
	var list []versionChange
	for _, v := range all {
		list = append(list, versionChange{v.Name, strings.Join(v.Base, ", "), strings.Join(v.Head, ", ")})
	}
	return list
}
