package reports

import (
	"html/template"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/history"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// page is what the templates show. All of it is text that they escape, except the pictures, which package plot escapes.
type page struct {
	Frame

	ID, Scenario, Title string
	Outcome             Badge
	Reason              string
	Crashed             bool
	Rate, Interval      string
	Facts               []pair
	// Failures is what was not as expected, most telling first; MoreFailures is how many are not listed.
	Failures     []failure
	MoreFailures int
	Problems     []string
	// Story is the phases at a glance, of the variant that Rate is of.
	Story []plot.Column
	// Without is what variants lack, and why.
	Without  []string
	Summary  []string
	Sources  []source
	Variants []pageVariant
	Claims   []claimRow
	// Detectors are listed once for all variants.
	Detectors []detectorHead
	// Conversations are failing attempts, packet by packet.
	Conversations []conversation
	Logs          []logGroup
	Agreement     *agreementView

	Evidence    evidenceSection
	Environment environment
	Restored    restoredSection
	Reproduce   reproduce
}

// Badge is an outcome with its class, shape and word.
type Badge struct{ Class, Symbol, Word string }

// pair is a name with a value.
type pair struct{ Name, Value, Note string }

// failure is one check that was not as expected.
type failure struct{ Where, What, Seen string }

// source is a document as a link. URL is empty if there is none that a browser may open.
type source struct{ ID, Title, Section, URL string }

// HasRemedies reports whether there is a remedy or control to compare.
func (p page) HasRemedies() bool {
	return slices.ContainsFunc(p.Variants, func(v pageVariant) bool { return len(v.Remedies)+len(v.Controls) > 0 })
}

// pageVariant is one way to bring the failure about.
type pageVariant struct {
	Name, Mechanism, Meaning, Why string
	RepairedBy                    string
	Outcome                       Badge
	Reason, Rate, Interval        string
	Wide, Narrow                  template.HTML
	Detectors                     detectorTable
	Phases                        []phaseChecks
	Remedies                      []remedyRow
	Controls                      []controlRow
}

// meaning explains the mechanisms, as the scenario format defines them.
var meaning = map[string]string{
	"native":   "the kernel or program does it all by itself",
	"forced":   "relapse makes the kernel's own failure path unavoidable",
	"emulated": "relapse imitates the failure",
}

// OutcomeBadge is how an outcome is shown.
func OutcomeBadge(o judge.Outcome) Badge {
	words := map[judge.Outcome]string{judge.Pass: "Pass", judge.Fail: "Fail", judge.Inconclusive: "Inconclusive", judge.Skipped: "Skipped"}
	word, ok := words[o]
	if !ok {
		return Badge{"inconclusive", "?", "Inconclusive"}
	}
	return Badge{string(o), symbol(o), word}
}

func (d Data) page() page {
	variants := d.variants()
	p := page{
		ID: d.Run.ID, Scenario: d.Run.Scenario, Title: d.title(),
		Outcome: OutcomeBadge(d.Verdict.Outcome), Reason: d.Verdict.Reason, Crashed: d.Crashed,
		Facts: d.facts(), Problems: d.problems(), Summary: paragraphs(d.scenario().Metadata.Summary),
		Claims: d.claims(), Evidence: d.evidence(), Environment: d.environment(), Restored: d.restored(), Reproduce: d.reproduce(),
	}
	if d.Crashed {
		p.Outcome.Word = "Crashed: inconclusive"
	}
	if h := headline(variants); h != nil {
		p.Rate, p.Interval = rate(h.Verdict.Reproduction), interval(h.Verdict.Reproduction)
		if len(variants) > 1 {
			p.Interval += ", variant " + h.Name
		}
		p.Story = d.picture(*h).Columns
		// Its picture comes first: it is what the report is about.
		first := *h
		variants = slices.DeleteFunc(variants, func(v variant) bool { return v.Name == first.Name })
		variants = slices.Insert(variants, 0, first)
	}
	for _, s := range d.scenario().Metadata.Sources {
		p.Sources = append(p.Sources, source{s.ID, s.Title, s.Section, webLink(s.URL)})
	}
	for _, v := range variants {
		p.Variants = append(p.Variants, d.pageVariant(v))
		p.Failures = append(p.Failures, d.failures(v)...)
		for _, lacks := range v.without() {
			p.Without = append(p.Without, "Variant "+v.Name+": "+lacks)
		}
	}
	for _, diff := range p.Restored.Differences {
		p.Failures = append(p.Failures, failure{"afterwards", "not as before:", diff})
	}
	p.Detectors, p.Conversations, p.Logs = d.detectorHeads(variants), d.conversations(variants), d.logs(variants)
	if d.Agreement != nil {
		view := viewAgreement(*d.Agreement)
		p.Agreement = &view
		if d.Agreement.Outcome == judge.Fail {
			p.Failures = append(p.Failures, failure{"compared with " + view.Names[1], "they do not agree:", view.Reason})
		}
	}
	const most = 8
	if len(p.Failures) > most {
		p.MoreFailures = len(p.Failures) - most
		p.Failures = p.Failures[:most]
	}
	return p
}

func (d Data) pageVariant(v variant) pageVariant {
	p := pageVariant{
		Name: v.Name, Mechanism: v.Spec.Mechanism, Meaning: meaning[v.Spec.Mechanism], Why: v.Spec.Why, RepairedBy: v.Spec.RepairedBy,
		Outcome: OutcomeBadge(v.outcome()), Reason: v.reason(), Detectors: d.detectors(v), Phases: d.checks(v),
		Remedies: d.remedies(v), Controls: d.controls(v),
	}
	if v.Verdict.Reproduction.Trials > 0 {
		p.Rate, p.Interval = rate(v.Verdict.Reproduction), interval(v.Verdict.Reproduction)
	}
	if len(v.Lanes) > 0 {
		f := d.picture(v)
		p.Wide, p.Narrow = template.HTML(plot.SVG(f, plot.Wide)), template.HTML(plot.SVG(f, plot.Narrow))
	}
	return p
}

// facts are where and when.
func (d Data) facts() []pair {
	facts := []pair{{"Cluster", d.Run.Cluster, ""}, {"kube-proxy", d.Run.Proxy, ""}, {"CNI", d.Run.Versions["cni"], ""}, {"Kernel", d.Run.Versions["kernel"], ""}}
	if t := d.duration(); t > 0 {
		facts = append(facts, pair{"Took", units.Seconds(t), ""})
	}
	facts = append(facts, pair{"Date", Date(d.Run.Start), ""})
	kept := facts[:0]
	for _, f := range facts {
		if f.Value != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

// problems are what kept the run or the report from being whole.
func (d Data) problems() []string {
	problems := slices.Clone(d.Problems)
	for _, t := range d.troubles() {
		problems = append(problems, t.String())
	}
	return problems
}

// place says where an event happened.
func place(e history.Event) string {
	return strings.Trim(e.Lane+", "+e.Phase, ", ")
}

// paragraphs splits a text at its empty lines.
func paragraphs(s string) []string {
	var list []string
	for _, p := range strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if p = strings.Join(strings.Fields(p), " "); p != "" {
			list = append(list, p)
		}
	}
	return list
}

// webLink lets only addresses through that a reader may safely follow.
func webLink(url string) string {
	if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
		return url
	}
	return ""
}
