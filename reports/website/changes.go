package website

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/known"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/reports"
)

// change is a variant of a scenario that is not as before in an environment.
type change struct {
	Scenario, Variant, Env, Title string
	Mark                          reports.Badge
	Findings                      []finding
	// First is the first run that was so, Good the last one before it; nil if it is not known.
	First, Good *runRef
	Between     []versionChange
	// Command runs the first such run again.
	Command                                string
	Link, Audit, Comparison, Report, Issue string
	// Known is why it was expected, if it was.
	Known *known.Difference
	kind  compare.Change
}

type finding struct{ Says, Why string }

type runRef struct{ Date, Run, Report string }

// order of changes: what counts most comes first.
var kinds = []compare.Change{compare.Worse, compare.Gone, compare.Skipped, compare.Inconclusive, compare.New, compare.Changed, compare.Better}

// compareEnvironment compares the newest runs of an environment with those before. It returns nil if there is only one night.
func (b *builder) compareEnvironment(e *environment) *compare.Comparison {
	if len(e.nights) < 2 {
		return nil
	}
	var base, head []*results.Result // a Comparer takes those of a side in the order of time
	whole := e.whole()
	for key, s := range b.past.series {
		if key.env != e.key {
			continue
		}
		before, since := s.split()
		if s.newest().Start.Before(whole.begin) {
			before, since = slices.Concat(before, since), nil // it did not run any more
		}
		base, head = append(base, before...), append(head, since...)
	}
	slices.SortFunc(base, results.Compare)
	slices.SortFunc(head, results.Compare)
	c := compare.NewComparer("runs before", "newest runs")
	for _, r := range base {
		c.Base(r)
	}
	for _, r := range head {
		c.Head(r)
	}
	done := c.Comparison()
	return &done
}

// changesOf makes a card of each pair of a comparison that changed.
func (b *builder) changesOf(c *compare.Comparison, env string) []change {
	var all []change
	for i := range c.Pairs {
		p := &c.Pairs[i]
		if slices.Contains(kinds, p.Change) {
			all = append(all, b.change(p, env))
		}
	}
	return all
}

func (b *builder) change(p *compare.Pair, env string) change {
	c := change{
		Scenario: p.Scenario, Variant: p.Variant, Env: env, Title: cmp.Or(p.Title, p.Scenario), Mark: reports.ChangeBadge(p.Change), kind: p.Change,
		Link: scenarioFile(p.Scenario), Audit: auditFile(p.Scenario, p.Env), Comparison: comparisonFile(env),
	}
	if s := b.Scenarios[p.Scenario]; s != nil {
		c.Title = s.Metadata.Title
	}
	explained := 0
	for _, f := range p.Findings {
		c.Findings = append(c.Findings, finding{f.Sentence(), f.Why})
		if d, is := b.Known.Find(p.Scenario, p.Variant, p.Env, nameOf(f.Subject), b.Now); is {
			c.Known = &d
			explained++
		}
	}
	if explained < len(p.Findings) {
		c.Known = nil // there is news beside what is known
	}
	first, good := p.FirstBad, p.LastGood
	if first == nil { // a rate or a time differs, for all that is known since the first of the newest runs
		first, good = p.Oldest[1], p.Newest[0]
	}
	if first != nil {
		c.First, c.Command, c.Report = b.ref(first), reports.CommandLine(first.Command), b.refReport(first)
	}
	if good != nil {
		c.Good = b.ref(good)
		if first == nil {
			c.Command = reports.CommandLine(good.Command)
		}
	}
	c.Between = versionsOf(p.Between)
	if c.kind.Bad() || c.kind == compare.Inconclusive {
		c.Issue = b.issue(&c)
	}
	return c
}

func (b *builder) ref(r *compare.Ref) *runRef {
	return &runRef{full(r.Start), r.Run, b.refReport(r)}
}

func (b *builder) refReport(r *compare.Ref) string {
	return b.report("", &results.Result{Folder: r.Folder})
}

// nameOf is how the file of known differences names what changed: claim/ID, latency/PHASE/PROBE.
func nameOf(s compare.Subject) string {
	parts := []string{string(s.What)}
	for _, part := range []string{s.Phase, s.Detector, s.Claim, s.Probe} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

// changed are the changes of one page, so that a page whose newest outcome is as before does not keep quiet about them.
func (b *builder) changed(of func(change) bool) []change {
	return slices.DeleteFunc(slices.Clone(b.changes), func(c change) bool { return !of(c) })
}

// tally counts changes by their kind in words: "2 worse, 1 better".
func tally(all []change) string {
	var parts []string
	for _, kind := range kinds {
		n := 0
		for _, c := range all {
			if c.kind == kind {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, reports.ChangeWord(kind)))
		}
	}
	return strings.Join(parts, ", ")
}

// byKind sorts changes: what counts most comes first, then by name.
func byKind(a, b change) int {
	return cmp.Or(cmp.Compare(slices.Index(kinds, a.kind), slices.Index(kinds, b.kind)),
		strings.Compare(a.Scenario, b.Scenario), strings.Compare(a.Variant, b.Variant), strings.Compare(a.Env, b.Env))
}
