package reports

import (
	"fmt"
	"strings"

	"github.com/relapse-k8s/relapse/harness/judge"
)

// Markdown makes a short summary, as GitHub shows it beside a job.
func Markdown(d Data) []byte {
	var b strings.Builder
	o := OutcomeBadge(d.Verdict.Outcome)
	fmt.Fprintf(&b, "### %s %s: %s\n\n", o.Symbol, o.Word, MarkdownText(d.title()))
	if d.Verdict.Reason != "" {
		b.WriteString(MarkdownText(d.Verdict.Reason) + "\n\n")
	}
	variants := d.variants()
	if len(variants) > 0 {
		b.WriteString("| Variant | Outcome | Showed the symptom | Why |\n|---|---|---|---|\n")
		for _, v := range variants {
			shown := "–"
			if r := v.Verdict.Reproduction; r.Trials > 0 {
				shown = rate(r) + " (" + interval(r) + ")"
			}
			name := v.Name
			if v.Spec.Mechanism != "" && v.Spec.Mechanism != v.Name {
				name += ", " + v.Spec.Mechanism
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", MarkdownText(name), words(v.outcome()), shown, MarkdownText(v.reason()))
		}
		b.WriteString("\n")
	}
	d.markdownRemedies(&b, variants)
	if len(d.Verdict.Claims) > 0 {
		b.WriteString("| Claim | Result |\n|---|---|\n")
		for _, c := range d.Verdict.Claims {
			result := ClaimBadge(c.Expected, c.Result)
			fmt.Fprintf(&b, "| %s | %s %s |\n", MarkdownText(c.Says), result.Symbol, result.Word)
		}
		b.WriteString("\n")
	}
	if a := d.Agreement; a != nil {
		fmt.Fprintf(&b, "%s with %s: %s\n\n", agreeWords(a.Outcome), MarkdownText(a.Runs[1].Name), MarkdownText(a.Reason))
	}
	for _, v := range variants {
		for _, f := range d.failures(v) {
			fmt.Fprintf(&b, "- %s: %s **%s**\n", MarkdownText(f.Where), MarkdownText(f.What), MarkdownText(f.Seen))
		}
	}
	for _, diff := range d.Verdict.Restored.Differences {
		b.WriteString("- not as before: **" + MarkdownText(diff) + "**\n")
	}
	for _, p := range d.problems() {
		b.WriteString("- " + MarkdownText(p) + "\n")
	}
	var facts []string
	for _, f := range d.facts() {
		facts = append(facts, MarkdownText(f.Name+" "+f.Value))
	}
	fmt.Fprintf(&b, "\n%s. Again: `%s`\n", strings.Join(facts, ", "), strings.ReplaceAll(d.reproduce().Command, "`", "'"))
	return []byte(b.String())
}

func (d Data) markdownRemedies(b *strings.Builder, variants []variant) {
	var lines []string
	for _, v := range variants {
		for _, r := range d.remedies(v) {
			lines = append(lines, fmt.Sprintf("| %s | %s | %s %s | %s %s | %s | %s |\n", MarkdownText(v.Name), MarkdownText(r.Title),
				r.Cured.Symbol, r.Cured.Word, r.Back.Symbol, r.Back.Word, r.Under.P50, r.With.P50))
		}
	}
	if len(lines) > 0 {
		b.WriteString("| Variant | Remedy | Under it | Withdrawn | p50 without | p50 with |\n|---|---|---|---|--:|--:|\n" + strings.Join(lines, "") + "\n")
	}
}

func words(o judge.Outcome) string {
	b := OutcomeBadge(o)
	return b.Symbol + " " + strings.ToLower(b.Word)
}

// MarkdownText keeps text from being read as markup: it stays on one line, in its table cell, and is no HTML.
func MarkdownText(s string) string {
	s = strings.Join(strings.Fields(Printable(s)), " ")
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "[", "\\[", "<", "&lt;", "&", "&amp;", "#", "\\#", "~", "\\~").Replace(s)
}
