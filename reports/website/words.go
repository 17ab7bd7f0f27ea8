package website

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/reports"
)

// fact is a name with a value.
type fact struct{ Name, Value string }

// badgeOf is the outcome of a result, with a crash called a crash.
func badgeOf(r *results.Result) reports.Badge {
	badge := reports.OutcomeBadge(r.Outcome)
	if r.Crashed {
		badge.Word = "Crashed"
	}
	return badge
}

// share says how often the symptom was seen: "97.5 %", or nothing if nothing was tried.
func share(r results.Reproduction) string {
	if r.Trials == 0 {
		return ""
	}
	return reports.Percent(float64(r.Hits) / float64(r.Trials))
}

// day is a date for people, in UTC, without the year; minute has the time too.
func day(t time.Time) string    { return t.UTC().Format("2 Jan") }
func minute(t time.Time) string { return t.UTC().Format("2 Jan, 15:04") }

// full is a date with the year.
func full(t time.Time) string { return reports.Date(t.Format(time.RFC3339)) }

// age says how long ago something was: "5 hours".
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "less than no time: its clock is ahead"
	case d < 2*time.Hour:
		return plural(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour")
	}
	return plural(int(d.Hours()/24), "day")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// short is a version as one reads it in a narrow place.
func short(version string) string {
	if len(version) == 40 && strings.Trim(version, "0123456789abcdef") == "" {
		version = version[:12]
	}
	if r := []rune(version); len(r) > 24 {
		return string(r[:23]) + "…"
	}
	return version
}

// worst is the badge of the worst outcome.
func worst(all []*series) reports.Badge {
	outcome := judge.Skipped
	for _, s := range all {
		outcome = judge.Worst(outcome, s.newest().Outcome)
	}
	return reports.OutcomeBadge(outcome)
}

// report is the address of the report of a run, seen from a page with this root; empty if nobody said where run folders are.
func (b *builder) report(root string, r *results.Result) string {
	if b.Runs == "" || r.Folder == "" {
		return ""
	}
	address := strings.TrimSuffix(b.Runs, "/") + "/" + url.PathEscape(r.Folder) + "/report.html"
	if strings.Contains(b.Runs, "://") {
		return address
	}
	return root + address
}

// title of a scenario: what this relapse calls it, or what the newest result does.
func (b *builder) title(id string, r *results.Result) string {
	if s := b.Scenarios[id]; s != nil {
		return s.Metadata.Title
	}
	if r.Title != "" {
		return r.Title
	}
	return id
}
