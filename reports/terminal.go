package reports

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/rundir"
)

// Terminal writes the table that a person sees at the end of a run. Lines fit width columns (80 where it is not known, and
// never fewer than 60); colour only repeats what words and shapes say.
func Terminal(w io.Writer, d Data, width int, color bool) error {
	t := newTerminal(width, color)
	t.outcome(d)
	for _, v := range d.variants() {
		t.variant(d, v)
	}
	t.claims(d)
	t.restored(d)
	t.agreement(d.Agreement)
	if d.Dir != "" {
		t.line("")
		t.line("Report: " + filepath.Join(d.Dir, rundir.ReportFile))
	}
	_, err := io.WriteString(w, t.out.String())
	return err
}

type terminal struct {
	out   strings.Builder
	width int
	color bool
}

func newTerminal(width int, color bool) *terminal {
	if width <= 0 {
		width = 80
	}
	return &terminal{width: max(width, 60), color: color}
}

func (t *terminal) line(s string) { t.out.WriteString(strings.TrimRight(s, " ") + "\n") }

func (t *terminal) outcome(d Data) {
	o := OutcomeBadge(d.Verdict.Outcome)
	word := o.Symbol + " " + strings.ToUpper(o.Word)
	t.wrap(word+"  ", d.title(), t.mark(word, o.Class))
	if d.Verdict.Reason != "" {
		t.wrap("  ", d.Verdict.Reason, nil)
	}
	for _, p := range d.Problems {
		t.wrap("  ! ", p, nil)
	}
	reason := Cause(d.Verdict.Reason, d.laneNames())
	for _, p := range d.troubles() {
		switch {
		case !strings.Contains(reason, p.cause):
			t.wrap("  ! ", p.String(), nil)
		case p.more > 0:
			t.wrap("  ! ", "alike "+times(p.more), nil)
		}
	}
	var facts []string
	for _, f := range d.facts() {
		if f.Name == "Date" {
			continue
		}
		value := f.Value
		switch f.Name {
		case "Kernel", "kube-proxy", "Took":
			value = strings.ToLower(f.Name) + " " + f.Value
		case "CNI":
			value = "CNI " + f.Value
		}
		facts = append(facts, value)
	}
	t.wrap("  ", strings.Join(facts, ", "), nil)
}

func (t *terminal) variant(d Data, v variant) {
	t.line("")
	head := v.Name
	if v.Spec.Mechanism != "" && v.Spec.Mechanism != v.Name {
		head += " (" + v.Spec.Mechanism + ")"
	}
	if r := v.Verdict.Reproduction; r.Trials > 0 {
		head += ": symptom in " + rate(r) + " (" + Percent(r.Low) + " to " + Percent(r.High) + ")"
	}
	t.wrap("", head, nil)
	for _, lacks := range v.without() {
		t.wrap("  ", lacks, nil)
	}
	if len(v.Verdict.Phases) == 0 {
		t.wrap("  "+words(v.outcome())+"  ", v.reason(), nil)
		return
	}
	name := 0
	for _, p := range v.Verdict.Phases {
		name = max(name, utf8.RuneCountInString(p.Name))
	}
	// symbol and word, name, two times: what is left is for the detectors.
	name = min(name, t.width-52)
	probe := v.Spec.Symptom.Probe
	if slices.ContainsFunc(v.Verdict.Phases, func(p judge.Phase) bool { return len(p.Detectors) > 0 }) {
		t.line(strings.Repeat(" ", name+36) + "detectors")
	}
	for _, p := range v.Verdict.Phases {
		times := ""
		if s := p.Probes[probe]; s.Count > 0 {
			times = fmt.Sprintf("p50 %-7s max %-7s", units.Seconds(s.P50), units.Seconds(s.Max))
		}
		outcome := fmt.Sprintf("%-6s", words(p.Outcome))
		switch p.Outcome {
		case judge.Inconclusive:
			outcome = "? open"
		case judge.Skipped:
			outcome = "– skip"
		}
		left := fmt.Sprintf("  %s  %-*s  %-23s  ", outcome, name, cut(p.Name, name), times)
		line := left + d.fired(p, t.width-utf8.RuneCountInString(left))
		t.marked(line, outcome, string(p.Outcome))
		list, repeated := d.unmet(p)
		for _, u := range list {
			t.wrap("          ✗ ", u.String(), nil)
		}
		if repeated > 0 && len(list) == 0 {
			t.wrap("          ✗ ", "because of the error above", nil)
		}
	}
}

// fired lists the detectors that fired where there is room, and else how many did. Those that are not expected to see the failure
// count only where they did.
func (d Data) fired(p judge.Phase, room int) string {
	var names []string
	could := 0
	for _, id := range sortedKeys(p.Detectors) {
		if p.Detectors[id].Fired {
			names = append(names, id)
		}
		if p.Detectors[id].Fired || !d.silent(id) {
			could++
		}
	}
	if len(names) == 0 {
		if len(p.Detectors) == 0 {
			return ""
		}
		return "quiet"
	}
	all := strings.Join(names, ", ")
	if utf8.RuneCountInString(all) <= room {
		return all
	}
	return cut(fmt.Sprintf("%d of %d fired", len(names), could), room)
}

func (t *terminal) claims(d Data) {
	if len(d.Verdict.Claims) == 0 {
		return
	}
	t.line("")
	t.line("claims")
	said := func(c judge.Claim) string {
		if b := ClaimBadge(c.Expected, c.Result); b.Class == "finding" {
			return b.Symbol + " " + b.Word
		}
		return ClaimBadge(c.Expected, c.Result).Symbol + " " + cmp.Or(c.Result, judge.Untested)
	}
	column := 10
	for _, c := range d.Verdict.Claims {
		column = max(column, utf8.RuneCountInString(said(c)))
	}
	told := map[string]bool{}
	for _, c := range d.Verdict.Claims {
		b, word, text := ClaimBadge(c.Expected, c.Result), said(c), c.Says
		if b.Class == "fail" {
			text = "(expected: " + c.Expected + ") " + text
		}
		if why := d.untested(c); why != "" && !told[why] {
			told[why] = true
			text += " (" + why + ")"
		}
		t.wrap(fmt.Sprintf("  %-*s  ", column, word), text, t.mark(word, b.Class))
	}
}

// restored tells only of what was left behind.
func (t *terminal) restored(d Data) {
	if len(d.Verdict.Restored.Differences) == 0 {
		return
	}
	t.line("")
	t.line("not as before")
	for _, diff := range d.Verdict.Restored.Differences {
		t.wrap("  ✗ ", diff, nil)
	}
}

// wrap writes text after a lead, its further lines indented as far as the lead goes.
func (t *terminal) wrap(lead, text string, finish func(string) string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(lead))
	line := lead
	put := func() {
		if finish != nil {
			line = finish(line)
		}
		t.line(line)
		line = indent
	}
	empty := true
	for _, word := range strings.Fields(Printable(text)) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > t.width {
			put()
			finish, empty = nil, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	put()
}

// mark paints a word of a line.
func (t *terminal) mark(word, class string) func(string) string {
	return func(line string) string { return strings.Replace(line, word, t.paint(class, word), 1) }
}

// marked writes a line with a painted word.
func (t *terminal) marked(line, word, class string) { t.line(t.mark(word, class)(line)) }

// paint colours s as a badge of that class: green, red, dim or yellow.
func (t *terminal) paint(class, s string) string {
	if !t.color {
		return s
	}
	code := map[string]string{"pass": "32", "finding": "32", "fail": "31", "skipped": "2"}[class]
	return "\x1b[" + cmp.Or(code, "33") + "m" + s + "\x1b[0m"
}

// Printable takes control characters out, so that no recorded text moves the cursor of a terminal.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if r < 0x20 || (r >= 0x7F && r < 0xA0) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// cut shortens text to a number of characters.
func cut(s string, n int) string {
	r := []rune(Printable(s))
	if len(r) <= n {
		return string(r)
	}
	return string(r[:max(0, n-1)]) + "…"
}
