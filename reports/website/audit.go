package website

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// auditPage is why to believe the newest runs of a scenario in an environment: all stages, one by one.
type auditPage struct {
	head

	// Changes are those that the first page tells of it.
	Changes []change

	Scenario, Env, Link string
	Date                string
	Stale               bool
	Variants            []auditVariant
}

type auditVariant struct {
	Name      string
	Outcome   reports.Badge
	Reason    string
	Mechanism string
	Facts     []fact
	// Rate is how often the failure was seen, with its interval.
	Rate   string
	Stages []stage
	Claims []auditClaim
	// Versions of what took part.
	Versions []fact
	// Command runs it again; Report is the run's own report with its evidence.
	Command, Report string
	// Good is the last run that passed, if the newest did not.
	Good *goodRun
}

// goodRun is the last run that passed before the newest.
type goodRun struct {
	Date, Run, Report string
	Versions          []versionChange
}

// stage is a row of the audit.
type stage struct {
	// Kind is baseline, proof, symptom, detection, cure, withdrawal, control or restored.
	Kind, Title string
	Outcome     reports.Badge
	Seen        []string
	Took        string
	// Before is the outcome in the last run that passed; only its Word is empty if there is none.
	Before reports.Badge
}

type auditClaim struct {
	Says, Seen string
	Result     reports.Badge
}

func (b *builder) audit(all []*series) ([]byte, error) {
	path := auditFile(all[0].scenario, all[0].env)
	newest := all[0].newest()
	for _, s := range all {
		if s.newest().Start.After(newest.Start) {
			newest = s.newest()
		}
	}
	p := auditPage{
		head: b.head(path, worst(all), b.title(newest.Scenario, newest)), Scenario: newest.Scenario, Env: all[0].env, Link: scenarioFile(newest.Scenario),
		Date: full(newest.Start), Stale: b.old(newest.Start),
		Changes: b.changed(func(c change) bool { return c.Scenario == newest.Scenario && c.Env == all[0].env }),
	}
	for _, s := range all {
		p.Variants = append(p.Variants, b.auditVariant(s, p.Root))
	}
	return render("audit.html", p)
}

func (b *builder) auditVariant(s *series, root string) auditVariant {
	r := s.newest()
	v := auditVariant{
		Name: s.variant, Outcome: badgeOf(r), Reason: r.Reason, Rate: rate(r.Reproduction), Command: reports.CommandLine(r.Command), Report: b.report(root, r),
		Facts: []fact{{"Run", r.Run}, {"Began", full(r.Start)}}, Stages: b.stages(r),
	}
	if r.Took > 0 {
		v.Facts = append(v.Facts, fact{"Took", units.Seconds(r.Took)})
	}
	v.Facts = append(v.Facts, fact{"Host", cmp.Or(r.Env.Host, r.Versions["kernel"])}, fact{"Scenario file", r.Digest})
	v.Facts = slices.DeleteFunc(v.Facts, func(f fact) bool { return f.Value == "" })
	if variant := b.variant(s); variant != nil {
		v.Mechanism = variant.Mechanism + ": " + variant.Why
	}
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		v.Versions = append(v.Versions, fact{name, r.Versions[name]})
	}
	for _, c := range r.Claims {
		v.Claims = append(v.Claims, auditClaim{cmp.Or(c.Says, c.ID), c.Seen, reports.ClaimBadge(c.Expected, c.Result)})
	}
	if good := s.lastGood(); good != nil && r.Outcome != judge.Pass {
		v.Good = &goodRun{full(good.Start), good.Run, b.report(root, good), differ(good.Versions, r.Versions)}
		before := map[string]reports.Badge{}
		for _, one := range b.stages(good) {
			before[one.Kind+one.Title] = one.Outcome
		}
		for i := range v.Stages {
			v.Stages[i].Before = before[v.Stages[i].Kind+v.Stages[i].Title]
		}
	}
	return v
}

// lastGood is the last run that passed, or nil.
func (s *series) lastGood() *results.Result {
	for _, r := range slices.Backward(s.runs) {
		if r.Outcome == judge.Pass {
			return r
		}
	}
	return nil
}

func (b *builder) variant(s *series) *scenario.Variant {
	if known := b.Scenarios[s.scenario]; known != nil {
		for i := range known.Variants {
			if known.Variants[i].ID == s.variant {
				return &known.Variants[i]
			}
		}
	}
	return nil
}

// stages are the phases of a run, in its order. The phase fault is three of them.
func (b *builder) stages(r *results.Result) []stage {
	var all []stage
	for i := range r.Phases {
		p := &r.Phases[i]
		kind, id, _ := strings.Cut(p.Name, "/")
		if kind == "fault" {
			all = append(all, faultStages(r, p)...)
			continue
		}
		title := map[string]string{"baseline": "Healthy before the fault", "restored": "Healthy afterwards, and nothing left behind"}[kind]
		name := map[string]string{"remedy": "cure", "relapse": "withdrawal"}[kind]
		all = append(all, stage{
			Kind: cmp.Or(name, kind), Title: cmp.Or(title, b.called(r.Scenario, kind, id)), Outcome: reports.OutcomeBadge(p.Outcome), Seen: seen(p), Took: took(p),
		})
	}
	if r.Restored != nil {
		left := stage{Kind: "fingerprint", Title: "Host and cluster as before", Outcome: reports.OutcomeBadge(judge.Pass), Seen: []string{"no differences"}}
		if !*r.Restored {
			left.Outcome, left.Seen = reports.OutcomeBadge(judge.Fail), []string{"something was left or changed; the run's report has what"}
		}
		all = append(all, left)
	}
	return all
}

// faultStages are what the phase fault must show: that the fault met the attempts, the symptom, and what detectors say.
func faultStages(r *results.Result, p *results.Phase) []stage {
	proof := stage{Kind: "proof", Title: "The fault was in effect", Outcome: reports.OutcomeBadge(judge.Pass), Took: took(p)}
	n := r.Reproduction
	switch {
	case p.Outcome == judge.Inconclusive:
		proof.Outcome, proof.Seen = reports.OutcomeBadge(judge.Inconclusive), []string{p.Why}
	case n.Attempts > n.Trials:
		proof.Seen = []string{fmt.Sprintf("it met %d of %d attempts", n.Trials, n.Attempts)}
	case n.Trials > 0:
		proof.Seen = []string{fmt.Sprintf("it met all %d attempts", n.Trials)}
	}
	stages := []stage{proof}
	if p.Symptom != nil {
		symptom := stage{Kind: "symptom", Title: "What a user of the cluster sees", Outcome: reports.OutcomeBadge(p.Outcome), Seen: symptomOf(p.Symptom)}
		if p.Outcome == judge.Fail && p.Why != "" {
			symptom.Seen = append(symptom.Seen, p.Why)
		}
		stages = append(stages, symptom)
	}
	if says := detections(p); len(says) > 0 {
		outcome := judge.Pass
		for _, d := range p.Detectors {
			switch {
			case d.Expected == "" || d.Says == d.Expected:
			case d.Says == results.Blind:
				outcome = judge.Worst(outcome, judge.Inconclusive)
			default:
				outcome = judge.Fail
			}
		}
		stages = append(stages, stage{Kind: "detection", Title: "The documented ways to see it", Outcome: reports.OutcomeBadge(outcome), Seen: says})
	}
	return stages
}

// called is what the scenario calls a remedy or control.
func (b *builder) called(id, kind, name string) string {
	known := b.Scenarios[id]
	if known == nil {
		return name
	}
	for _, remedy := range known.Remedies {
		if remedy.ID == name && kind == "remedy" {
			return remedy.Title
		}
		if remedy.ID == name && kind == "relapse" {
			return "Without it again: " + remedy.Title
		}
	}
	for _, control := range known.Controls {
		if control.ID == name && kind == "control" {
			return control.Title
		}
	}
	return name
}

// seen is what a phase showed.
func seen(p *results.Phase) []string {
	var all []string
	if p.Symptom != nil {
		all = symptomOf(p.Symptom)
	}
	if p.Recovery != nil {
		all = append(all, "healthy again after "+units.Seconds(*p.Recovery))
	}
	if says := odd(p); len(says) > 0 {
		all = append(all, says...)
	}
	if p.Outcome != judge.Pass && p.Why != "" {
		all = append(all, p.Why)
	}
	return all
}

func symptomOf(s *results.Sighting) []string {
	if s.Trials == 0 {
		return []string{"no attempts"}
	}
	return []string{fmt.Sprintf("%d of %d attempts show the failure", s.Hits, s.Trials)}
}

// detections is what each detector said, and when.
func detections(p *results.Phase) []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(p.Detectors)) {
		d := p.Detectors[id]
		text := id + " " + map[string]string{results.Fired: "fired", results.Quiet: "was quiet", results.Blind: "saw nothing to decide by"}[d.Says]
		if d.After != nil {
			text += " after " + units.Seconds(*d.After)
		}
		if d.Expected != "" && d.Expected != d.Says {
			text += ", expected " + d.Expected
			if d.Seen != "" {
				text += ": " + d.Seen
			}
		}
		all = append(all, text)
	}
	return all
}

// odd is what detectors said that they should not have.
func odd(p *results.Phase) []string {
	var all []string
	for _, id := range slices.Sorted(maps.Keys(p.Detectors)) {
		if d := p.Detectors[id]; d.Expected != "" && d.Expected != d.Says {
			all = append(all, fmt.Sprintf("detector %s was %s, expected %s", id, d.Says, d.Expected))
		}
	}
	return all
}

func took(p *results.Phase) string {
	if p.Took == 0 {
		return ""
	}
	return units.Seconds(p.Took)
}

// rate says how often the failure was seen, and how sure that is.
func rate(r results.Reproduction) string {
	if r.Trials == 0 {
		return ""
	}
	low, high := judge.Wilson(r.Hits, r.Trials)
	return fmt.Sprintf("%d of %d attempts (95 %% interval %s to %s)", r.Hits, r.Trials, reports.Percent(low), reports.Percent(high))
}
