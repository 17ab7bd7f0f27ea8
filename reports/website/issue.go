package website

import (
	"fmt"
	"net/url"
	"strings"
)

// maxIssue is how long the text of an issue may be in its address: browsers and servers take about 8000 bytes.
const maxIssue = 4000

// issue is the address at which an issue about a change can be opened, with its text filled in; empty without a repository.
func (b *builder) issue(c *change) string {
	if b.Repository == "" {
		return ""
	}
	var text strings.Builder
	fmt.Fprintf(&text, "In environment %s:\n\n", quoted(c.Env))
	for _, f := range c.Findings {
		fmt.Fprintf(&text, "- %s\n", quoted(f.Says))
	}
	if c.First != nil {
		fmt.Fprintf(&text, "\nFirst such run: %s, %s\n", c.First.Date, quoted(c.First.Run))
	}
	if c.Good != nil {
		fmt.Fprintf(&text, "Last run before: %s, %s\n", c.Good.Date, quoted(c.Good.Run))
	}
	for _, v := range c.Between {
		fmt.Fprintf(&text, "Version between: %s %s, then %s\n", quoted(v.Name), quoted(v.Before), quoted(v.After))
	}
	if c.Command != "" {
		fmt.Fprintf(&text, "\nTo run it again:\n\n    %s\n", strings.Join(strings.Fields(c.Command), " "))
	}
	title := fmt.Sprintf("%s: %s in %s", strings.ToLower(c.Mark.Word), c.Scenario+"/"+c.Variant, c.Env)
	return strings.TrimSuffix(b.Repository, "/") + "/issues/new?" + url.Values{"title": {cut(title, 200)}, "body": {cut(text.String(), maxIssue)}}.Encode()
}

// quoted keeps text from being markup, or from naming people, in an issue.
func quoted(text string) string {
	return "`" + strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "`", "'") + "`"
}

func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
