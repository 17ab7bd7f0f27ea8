package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// pairing is a pair being compared: what each side has seen of it. A side that has not seen it has an empty record.
type pairing struct {
	Pair
	sides [2]*record
	// there is which sides have it.
	there [2]bool
	tests []*Test
}

// Comparison compares what was added.
func (c *Comparer) Comparison() Comparison {
	base, head := c.sides[0], c.sides[1]
	out := Comparison{Counts: map[Change]int{}, Pairs: []Pair{}, Base: base.finish(), Head: head.finish()}
	pairs := c.pairs()
	out.Method = correct(pairs)
	for _, p := range pairs {
		p.conclude()
		out.Pairs = append(out.Pairs, p.Pair)
		out.Counts[p.Change]++
	}
	slices.SortStableFunc(out.Pairs, func(a, b Pair) int {
		return cmp.Or(slices.Index(order, a.Change)-slices.Index(order, b.Change),
			slices.Compare([]string{a.Scenario, a.Variant, a.Env}, []string{b.Scenario, b.Variant, b.Env}))
	})
	out.Change = Same
	if len(out.Pairs) > 0 {
		out.Change = out.Pairs[0].Change
	}
	out.Versions = envVersions(pairs)
	out.Says = out.says()
	return out
}

// pairs finds what belongs together: the same scenario, variant and environment, or only scenario and variant if each side has one
// environment.
func (c *Comparer) pairs() []*pairing {
	base, head := c.sides[0], c.sides[1]
	across := len(base.Envs) == 1 && len(head.Envs) == 1 && base.Envs[0] != head.Envs[0]
	all := map[key]*pairing{}
	for i, s := range c.sides {
		for k, r := range s.pairs {
			if across {
				k.env = head.Envs[0]
			}
			p := all[k]
			if p == nil {
				p = &pairing{Pair: Pair{Scenario: k.scenario, Variant: k.variant, Env: k.env}, sides: [2]*record{{}, {}}}
				if across {
					p.BaseEnv = base.Envs[0]
				}
				all[k] = p
			}
			p.sides[i], p.there[i] = r, true
		}
	}
	list := make([]*pairing, 0, len(all))
	for _, p := range all {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *pairing) int {
		return slices.Compare([]string{a.Scenario, a.Variant, a.Env}, []string{b.Scenario, b.Variant, b.Env})
	})
	for _, p := range list {
		p.compare()
	}
	return list
}

// compare finds what differs, and the tests that must be made.
func (p *pairing) compare() {
	p.Findings, p.Tests = []Finding{}, []Test{}
	for i, r := range p.sides {
		p.Runs[i], p.Oldest[i], p.Newest[i], p.Outcomes[i] = r.runs, r.oldest, r.newest, r.outcomes
		p.Title = cmp.Or(r.title, p.Title)
	}
	if !p.there[0] || !p.there[1] {
		p.oneSided()
		return
	}
	for _, about := range subjects(p.sides[0].answers, p.sides[1].answers) {
		f, t := p.finding(about)
		if f != nil {
			p.Findings = append(p.Findings, *f)
		}
		if t != nil {
			t.fisher()
			p.tests = append(p.tests, t)
		}
	}
	for _, about := range subjects(p.sides[0].rates, p.sides[1].rates) {
		p.tests = append(p.tests, rateTest(about, p.sides[0].rates[about], p.sides[1].rates[about]))
	}
	for _, about := range subjects(p.sides[0].numbers, p.sides[1].numbers) {
		p.tests = append(p.tests, timeTest(about, p.sides[0].numbers[about], p.sides[1].numbers[about]))
	}
}

// oneSided tells of a pair that only one side has.
func (p *pairing) oneSided() {
	change, form, r := New, "%s, and was not there before", p.sides[1]
	if p.there[0] {
		change, form, r = Gone, "it has no result any more; before it %s", p.sides[0]
	}
	most, _ := mostOf(r.answers[Subject{What: Outcome}], bad, open, good, absent)
	all := tallyOf(r.answers[Subject{What: Outcome}])
	if change == Gone && all.n[absent] == all.all {
		return // it was always skipped
	}
	n := all.n[most.grade]
	f := Finding{Subject: Subject{What: Outcome}, Change: change, Says: fmt.Sprintf(form, words(Subject{What: Outcome}, most, n, r.runs)), Why: r.newest.Reason}
	if most.grade == good {
		f.Why = ""
	}
	p.Findings = append(p.Findings, f)
	if change == New && most.grade == bad {
		p.Findings[0].Change, p.Findings[0].FirstBad = Worse, r.answers[Subject{What: Outcome}][most].first
	}
}

// correct corrects the tests of all pairs together, and lets them decide. Tests that could not show a difference whatever the runs said
// cannot give a false alarm either, and do not count: R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46 (1990)
// 515-522.
func correct(pairs []*pairing) Method {
	var able []*Test
	var p []float64
	m := Method{
		Alpha: alpha, Sizes: Smallest, Correction: "Benjamini-Hochberg",
		Why: "If nothing has changed, at most 5 % of comparisons have any false alarm, as with Holm's correction. If something has, more of it is " +
			"found, and at most 5 % of what is told is chance. A person looks at each alarm anyway.",
	}
	times := 0
	for _, pair := range pairs {
		for _, t := range pair.tests {
			m.Tests++
			if !t.Rate() {
				times++
			}
			if t.Q = 1; t.best <= alpha {
				able, p = append(able, t), append(p, t.P)
			}
		}
	}
	m.Family = len(able)
	for i, q := range adjust(p) {
		able[i].Q = q
	}
	for _, pair := range pairs {
		for _, t := range pair.tests {
			t.decide(max(m.Family, 1), max(times, 1))
		}
	}
	return m
}

// conclude puts together what a pair has found.
func (p *pairing) conclude() {
	for _, t := range p.tests {
		p.Tests = append(p.Tests, *t)
		if t.Change == Same || t.Change == NotEnough {
			continue
		}
		p.Findings = append(p.Findings, p.found(*t))
	}
	if slices.ContainsFunc(p.Findings, func(f Finding) bool { return f.What == Outcome && f.Change == Inconclusive }) {
		// Then so is what follows from it, such as every claim.
		p.Findings = slices.DeleteFunc(p.Findings, func(f Finding) bool { return f.What != Outcome && f.Change == Inconclusive })
	}
	slices.SortStableFunc(p.Findings, func(a, b Finding) int {
		return cmp.Or(headline(a)-headline(b), slices.Index(order, a.Change)-slices.Index(order, b.Change), bySubject(a.Subject, b.Subject))
	})
	p.Change = Same
	if slices.ContainsFunc(p.tests, func(t *Test) bool { return t.Change == NotEnough }) {
		p.Change = NotEnough
	}
	for _, f := range p.Findings {
		if slices.Index(order, f.Change) < slices.Index(order, p.Change) {
			p.Change = f.Change
		}
		if p.FirstBad == nil && f.FirstBad != nil {
			p.FirstBad, p.LastGood = f.FirstBad, f.LastGood
		}
	}
	if p.FirstBad != nil && p.LastGood != nil {
		p.Between = between(p.LastGood, p.FirstBad)
	}
}

// headline puts how the runs ended first: the rest explains it.
func headline(f Finding) int {
	if f.What == Outcome {
		return 0
	}
	return 1
}

// found is the finding of a test.
func (p *pairing) found(t Test) Finding {
	f := Finding{Subject: t.Subject, Change: t.Change, Test: &t, Says: t.String()}
	if answers := p.sides[1].answers[t.Subject]; t.grade == bad || t.grade == open {
		f.Says = fmt.Sprintf("%s: %s", f.Says, t.Size())
		if _, s := mostOf(answers, t.grade); s != nil && t.Change != Better {
			f.Why, f.FirstBad, f.LastGood = s.why, s.first, lastGood(s, p.sides[0].answers[t.Subject])
		}
	} else if t.Rate() {
		f.Says = fmt.Sprintf("%s: %s", f.Says, t.Size())
	}
	if t.What == Met && t.Change == Worse {
		f.Why = "The fault was made in fewer attempts. Look for the cause in relapse and this machine, not in what is tested."
	}
	return f
}

// says is the comparison in a sentence.
func (c *Comparison) says() string {
	if len(c.Pairs) == 0 {
		return "there is nothing to compare: neither side has a result"
	}
	var parts []string
	for _, change := range order {
		if n := c.Counts[change]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, map[Change]string{
				Skipped: "newly skipped", Inconclusive: "newly inconclusive", NotEnough: "as before as far as can be told", Same: "as before",
			}[change]+map[bool]string{true: string(change)}[change != Skipped && change != Inconclusive && change != NotEnough && change != Same]))
		}
	}
	return strings.Join(parts, ", ")
}

// Undecided reports whether nothing can be concluded: no pair has an answer on both sides.
func (c *Comparison) Undecided() bool {
	for _, p := range c.Pairs {
		if p.Runs[0] > 0 && p.Runs[1] > 0 && told(p, 0) && told(p, 1) {
			return false
		}
	}
	return true
}

func told(p Pair, side int) bool {
	return p.Outcomes[side]["pass"]+p.Outcomes[side]["fail"] > 0
}

// PairTest is a test with its pair.
type PairTest struct {
	Test
	Pair Pair
}

// telling is the size of a difference, as far as it is worth telling.
func (t *Test) telling() float64 {
	if !t.Large() {
		return 0
	}
	return math.Abs(t.Effect)
}

// Shy lists the tests that have too few runs on a side, the largest differences first. One that only one side has is told elsewhere: its phase
// is new or gone, or its run broke down.
func (c *Comparison) Shy() []PairTest {
	var list []PairTest
	for _, p := range c.Pairs {
		for _, t := range p.Tests {
			if t.Change == NotEnough && t.Base.Runs > 0 && t.Head.Runs > 0 {
				list = append(list, PairTest{t, p})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b PairTest) int { return cmp.Compare(b.telling(), a.telling()) })
	return list
}
