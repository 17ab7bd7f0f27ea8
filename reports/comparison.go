package reports

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/compare"
)

// mostFindings is how many findings of a pair are told. What is wrong in a run shows in many places.
const mostFindings = 6

// ChangeBadge is how a change is shown.
func ChangeBadge(c compare.Change) Badge {
	if b, ok := changes[c]; ok {
		return b
	}
	return Badge{Class: "skipped", Symbol: "–", Word: string(c)}
}

// changes are how they are shown, on pages, in terminals and in Markdown.
var changes = map[compare.Change]Badge{
	compare.Worse:        {Class: "fail", Symbol: "✗", Word: "Worse"},
	compare.Gone:         {Class: "fail", Symbol: "∅", Word: "Gone"},
	compare.Skipped:      {Class: "fail", Symbol: "–", Word: "Newly skipped"},
	compare.Inconclusive: {Class: "inconclusive", Symbol: "?", Word: "Newly inconclusive"},
	compare.New:          {Class: "finding", Symbol: "+", Word: "New"},
	compare.Changed:      {Class: "finding", Symbol: "≠", Word: "Changed"},
	compare.Better:       {Class: "pass", Symbol: "✓", Word: "Better"},
	compare.NotEnough:    {Class: "skipped", Symbol: "…", Word: "Not enough data"},
	compare.Same:         {Class: "skipped", Symbol: "=", Word: "No change"},
}

// ChangeWord is a change within a line of text.
func ChangeWord(c compare.Change) string { return strings.ToLower(ChangeBadge(c).Word) }

// ComparisonBadge is the whole comparison in a word.
func ComparisonBadge(c compare.Comparison) Badge {
	b := ChangeBadge(c.Change)
	switch {
	case c.Change.Bad():
		b.Word = "Worse"
	case c.Undecided():
		b = Badge{Symbol: "?", Word: "Inconclusive", Class: "inconclusive"}
	case c.Change == compare.NotEnough, c.Change == compare.Same:
		b = Badge{Symbol: "✓", Word: "Nothing got worse", Class: "pass"}
	}
	return b
}

// pairName is SCENARIO/VARIANT.
func pairName(p compare.Pair) string { return strings.TrimSuffix(p.Scenario+"/"+p.Variant, "/") }

// pairEnv is the environment of a pair, or both.
func pairEnv(p compare.Pair) string {
	if p.BaseEnv != "" {
		return p.BaseEnv + " → " + p.Env
	}
	return p.Env
}

// sideText says what a side is.
func sideText(s compare.Side) string {
	text := fmt.Sprintf("%s: %s, %s", s.Name, count(s.Runs, "run"), count(s.Results, "result"))
	if s.Results > 0 {
		const form = "2006-01-02 15:04"
		text += ", " + s.Oldest.UTC().Format(form)
		if !s.Newest.Equal(s.Oldest) {
			text += " to " + s.Newest.UTC().Format(form)
		}
	}
	return text
}

// versionsText says which versions differ: kernel 6.18.44 → 6.18.50, relapse abc → def.
func versionsText(list []compare.VersionChange) string {
	var parts []string
	for _, v := range list {
		parts = append(parts, fmt.Sprintf("%s %s → %s", v.Name, someVersions(v.Base), someVersions(v.Head)))
	}
	return strings.Join(parts, ", ")
}

func someVersions(list []string) string {
	const most = 3
	list = slices.Clone(list)
	for i, v := range list {
		if digest, found := strings.CutPrefix(v, "sha256:"); found {
			list[i] = digest[:min(len(digest), 12)]
		}
	}
	switch {
	case len(list) == 0:
		return "none"
	case len(list) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], " or "), len(list)-most)
	}
	return strings.Join(list, " or ")
}

// refText says which run it is.
func refText(r *compare.Ref) string {
	text := r.Start.UTC().Format("2006-01-02 15:04 UTC") + ", "
	return text + cmp.Or(r.Folder, r.Run)
}

// shyText says how many runs would do for what has too few.
func shyText(c compare.Comparison, list []compare.PairTest) string {
	base, head := 0, 0
	for _, t := range list {
		base, head = max(base, t.Need[0]), max(head, t.Need[1])
	}
	text := fmt.Sprintf("%s: too few runs to tell.", count(len(list), "rate or time"))
	if len(list) > 1 {
		text = fmt.Sprintf("%d rates and times: too few runs to tell.", len(list))
	}
	if base > 0 {
		text += fmt.Sprintf(" %d in BASE and %d in HEAD would do for one that differs alone.", base, head)
	}
	return text
}

// methodText says how differences were told from chance.
func methodText(c compare.Comparison) string {
	if c.Method.Tests == 0 {
		return ""
	}
	m := c.Method
	return fmt.Sprintf("Rates by Fisher's exact test, times by the Mann-Whitney U test, corrected by %s at %s: %s, of which %d can show a difference. "+
		"Smaller differences than %s points, or %s of a time, are not told.", m.Correction, Percent(m.Alpha), count(m.Tests, "test"), m.Family,
		strings.TrimSuffix(Percent(m.Sizes.Rate), " %"), Percent(m.Sizes.Time))
}
