package website

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/reports"
)

// maxSummary is how many changes the summary has: a comment of a pull request takes 65536 bytes.
const maxSummary = 30

// markdown is the first page in short, for the summary of a job or a pull request.
func (b *builder) markdown() ([]byte, error) {
	news, expected := b.news()
	outcome := b.verdict(news)
	var text strings.Builder
	fmt.Fprintf(&text, "### %s %s\n\n%s\n\n", outcome.Symbol, outcome.Word, reports.MarkdownText(b.line(news, len(expected))))
	if len(news) > 0 {
		text.WriteString("| Change | Scenario | Environment | What | First such run | Last run before | Versions between |\n|---|---|---|---|---|---|---|\n")
	}
	for i, c := range news {
		if i == maxSummary {
			fmt.Fprintf(&text, "\n%d more are on the first page.\n", len(news)-maxSummary)
			break
		}
		var what, versions []string
		for _, f := range c.Findings {
			what = append(what, f.Says)
		}
		for _, v := range c.Between {
			versions = append(versions, v.Name+" "+v.Before+" → "+v.After)
		}
		cells := []string{c.Mark.Symbol + " " + c.Mark.Word, c.Scenario + "/" + c.Variant, c.Env, cut(strings.Join(what, "; "), 400), c.First.date(), c.Good.date(), cut(strings.Join(versions, "; "), 200)}
		for i := range cells {
			cells[i] = reports.MarkdownText(cells[i])
		}
		text.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	told := map[string]bool{}
	for _, c := range news {
		if c.Command != "" && !told[c.Command] && len(told) < 3 {
			told[c.Command] = true
			fmt.Fprintf(&text, "\nRun %s again: `%s`\n", reports.MarkdownText(c.Scenario), strings.ReplaceAll(strings.Join(strings.Fields(c.Command), " "), "`", "'"))
		}
	}
	for _, d := range b.Known.Expired(b.Now) {
		fmt.Fprintf(&text, "\n**A known difference has expired:** %s, line %d: %s\n", reports.MarkdownText(b.KnownFile), d.Line, reports.MarkdownText(d.Why))
	}
	return []byte(text.String()), nil
}

// date of a run that may not be known.
func (r *runRef) date() string {
	if r == nil {
		return "–"
	}
	return r.Date
}

// summary is the first page for programs: changes.json.
type summary struct {
	Outcome string `json:"outcome"`
	Says    string `json:"says"`
	// Worse is whether something got worse that nobody expected.
	Worse bool `json:"worse"`
	// Made is when the site was made, in RFC 3339.
	Made    string          `json:"made"`
	Changes []summaryChange `json:"changes"`
	// Stale are the environments without a result for too long.
	Stale []string `json:"stale"`
	// Expired are known differences whose last day is over, as lines of their file.
	Expired []int `json:"expired"`
}

type summaryChange struct {
	Change   string   `json:"change"`
	Scenario string   `json:"scenario"`
	Variant  string   `json:"variant"`
	Env      string   `json:"env"`
	Says     []string `json:"says"`
	// FirstBad and LastGood are ids of runs.
	FirstBad string          `json:"first_bad,omitempty"`
	LastGood string          `json:"last_good,omitempty"`
	Between  []versionChange `json:"between"`
	Command  string          `json:"command,omitempty"`
	Page     string          `json:"page"`
	// Known is why it was expected, if it was.
	Known string `json:"known,omitempty"`
}

func (b *builder) json() ([]byte, error) {
	news, expected := b.news()
	outcome := b.verdict(news)
	s := summary{
		Outcome: outcome.Word, Says: b.line(news, len(expected)), Worse: len(news) > 0 && news[0].kind.Bad(), Made: b.Now.UTC().Format("2006-01-02T15:04:05Z"),
		Changes: []summaryChange{}, Stale: []string{}, Expired: []int{},
	}
	for _, c := range b.changes {
		one := summaryChange{Change: string(c.kind), Scenario: c.Scenario, Variant: c.Variant, Env: c.Env, Between: c.Between, Command: c.Command, Page: c.Audit}
		for _, f := range c.Findings {
			one.Says = append(one.Says, f.Says)
		}
		if c.First != nil {
			one.FirstBad = c.First.Run
		}
		if c.Good != nil {
			one.LastGood = c.Good.Run
		}
		if c.Known != nil {
			one.Known = c.Known.Why
		}
		s.Changes = append(s.Changes, one)
	}
	for _, e := range b.past.environments {
		if b.stale(e) {
			s.Stale = append(s.Stale, e.key)
		}
	}
	for _, d := range b.Known.Expired(b.Now) {
		s.Expired = append(s.Expired, d.Line)
	}
	data, err := json.MarshalIndent(s, "", "  ")
	return append(data, '\n'), err
}
