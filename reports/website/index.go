package website

import (
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/known"
	"github.com/relapse-k8s/relapse/reports"
)

// outcomeOrder is how outcomes are counted in words.
var outcomeOrder = []judge.Outcome{judge.Fail, judge.Inconclusive, judge.Pass, judge.Skipped}

// maxCards is how many changes are told in full on the first page.
const maxCards = 20

// indexPage is the first page: what changed, is it noise, where do I look.
type indexPage struct {
	head

	Reason string
	// Changes are told in full, More in a line each; Known are those that somebody expected.
	Changes, More, Known []change
	Expired              known.List
	KnownFile            string
	Problems             []string
	Environments         []environmentRow
	Stale                string
	// Selected is the page of a comparison that somebody asked for, if there is one.
	Selected string
	Grid     grid
}

type environmentRow struct {
	Key, Link string
	Date, Age string
	Stale     bool
	// Outcomes of its newest runs: "40 pass, 2 fail".
	Outcomes string
	Versions []versionChange
	First    bool
}

func (b *builder) index() ([]byte, error) {
	p := indexPage{Expired: b.Known.Expired(b.Now), KnownFile: b.KnownFile, Stale: age(b.Stale), Grid: b.grid()}
	if b.Selected != nil {
		p.Selected = selectedFile
	}
	for _, problem := range b.Problems {
		p.Problems = append(p.Problems, problem.String())
	}
	p.Changes, p.Known = b.news()
	outcome := b.verdict(p.Changes)
	if len(p.Changes) > maxCards {
		p.Changes, p.More = p.Changes[:maxCards], p.Changes[maxCards:]
	}
	for _, e := range b.past.environments {
		p.Environments = append(p.Environments, b.environmentRow(e))
	}
	p.head = b.head(indexFile, outcome, "Known Kubernetes network failures: what changed")
	p.Reason = b.line(slices.Concat(p.Changes, p.More), len(p.Known))
	return render("index.html", p)
}

// news are the changes that nobody expected, and expected the others.
func (b *builder) news() (news, expected []change) {
	for _, c := range b.changes {
		if c.Known != nil {
			expected = append(expected, c)
		} else {
			news = append(news, c)
		}
	}
	return news, expected
}

// verdict is the worst of all changes that nobody expected.
func (b *builder) verdict(changes []change) reports.Badge {
	switch {
	case len(b.past.environments) == 0:
		return reports.Badge{Class: "inconclusive", Symbol: "?", Word: "No results"}
	case len(changes) > 0 && changes[0].kind.Bad():
		return reports.Badge{Class: "fail", Symbol: "✗", Word: "Something got worse"}
	case b.stale(b.past.environments[0]):
		return reports.Badge{Class: "inconclusive", Symbol: "⚠", Word: "Nothing new for " + age(b.Now.Sub(b.past.environments[0].newest().end))}
	case len(changes) > 0 && changes[0].Mark.Class != "pass":
		return reports.Badge{Class: "inconclusive", Symbol: "?", Word: "Something changed"}
	case len(changes) > 0:
		return reports.Badge{Class: "pass", Symbol: "✓", Word: "Something got better"}
	}
	return reports.Badge{Class: "pass", Symbol: "✓", Word: "No change"}
}

// line is the site in one line: how many scenarios, how many changed, how old the newest result is.
func (b *builder) line(changes []change, expected int) string {
	if len(b.past.environments) == 0 {
		return "The store has no results."
	}
	changed := "none changed"
	if len(changes) > 0 {
		scenarios := map[string]bool{}
		for _, c := range changes {
			scenarios[c.Scenario] = true
		}
		changed = fmt.Sprintf("%d changed (%s)", len(scenarios), tally(changes))
		if len(changes) != len(scenarios) {
			changed = fmt.Sprintf("%d changed, in %d ways (%s)", len(scenarios), len(changes), tally(changes))
		}
	}
	if expected > 0 {
		changed += fmt.Sprintf(", %s known", plural(expected, "difference"))
	}
	newest := b.past.environments[0].newest().end
	return fmt.Sprintf("%s in %s: %s. The newest result was %s old when this page was made: %s.",
		plural(len(b.past.scenarios), "scenario"), plural(len(b.past.environments), "environment"), changed, age(b.Now.Sub(newest)), full(newest))
}

func (b *builder) environmentRow(e *environment) environmentRow {
	newest := e.newest()
	row := environmentRow{Key: e.key, Date: full(newest.end), Age: age(b.Now.Sub(newest.end)), Stale: b.stale(e), First: len(e.nights) == 1}
	if b.comparisons[e.key] != nil {
		row.Link = comparisonFile(e.key)
	}
	if !row.First {
		row.Versions = differ(e.nights[len(e.nights)-2].versions, newest.versions)
	}
	counts := map[judge.Outcome]int{}
	for key, s := range b.past.series {
		if key.env == e.key {
			counts[s.newest().Outcome]++
		}
	}
	var parts []string
	for _, o := range outcomeOrder {
		if counts[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[o], o))
		}
	}
	row.Outcomes = strings.Join(parts, ", ")
	return row
}
