package website

import (
	"html/template"
	"slices"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/reports"
	"github.com/relapse-k8s/relapse/reports/plot"
)

// Bounds of a scenario's page: the runs of a picture, the pictures, and the rows of the table of runs of each series.
const (
	maxTrend    = 60
	maxPictures = 12
	maxRuns     = 10
)

// scenarioPage is the page of a scenario in all environments.
type scenarioPage struct {
	head

	// Changes are those that the first page tells of it.
	Changes []change

	Scenario string
	Summary  []string
	Sources  []source
	// Where is each environment and variant, as of its newest run.
	Where    []whereRow
	Pictures []picture
	// Left is how many pictures are left out.
	Left   int
	Claims claimTable
	Runs   []runTable
}

type source struct{ Title, Section, URL string }

type whereRow struct {
	Env, Variant, Audit string
	Outcome             reports.Badge
	Rate, Reason        string
	Date                string
	Stale               bool
	// Since is when it began to be so.
	Since string
}

type picture struct {
	Env, Variant string
	Wide, Narrow template.HTML
}

// claimTable is every claim in every environment.
type claimTable struct {
	Environments []string
	Rows         []claimRow
}

type claimRow struct {
	ID, Says string
	Cells    []claimCell
}

type claimCell struct {
	Env    string
	Result reports.Badge
	Note   string
}

// runTable is the newest runs of a series, newest first.
type runTable struct {
	Env, Variant string
	Rows         []runRow
	// All is how many runs there are.
	All int
}

type runRow struct {
	Date, Run, Report string
	Outcome           reports.Badge
	Rate, Fault, Well string
	Versions          []versionChange
}

func (b *builder) scenario(id string, all []*series) ([]byte, error) {
	path := scenarioFile(id)
	newest := all[0].newest()
	for _, s := range all {
		if s.newest().Start.After(newest.Start) {
			newest = s.newest()
		}
	}
	p := scenarioPage{
		head: b.head(path, worst(all), b.title(id, newest)), Scenario: id, Claims: claimsOf(all),
		Changes: b.changed(func(c change) bool { return c.Scenario == id }),
	}
	if known := b.Scenarios[id]; known != nil {
		for _, paragraph := range strings.Split(known.Metadata.Summary, "\n\n") {
			p.Summary = append(p.Summary, strings.Join(strings.Fields(paragraph), " "))
		}
		for _, s := range known.Metadata.Sources {
			one := source{Title: s.Title, Section: s.Section}
			if strings.HasPrefix(s.URL, "https://") || strings.HasPrefix(s.URL, "http://") {
				one.URL = s.URL
			}
			p.Sources = append(p.Sources, one)
		}
	}
	for i, s := range all {
		p.Where = append(p.Where, b.where(s))
		if i < maxPictures {
			p.Pictures = append(p.Pictures, b.picture(s))
		} else {
			p.Left++
		}
		p.Runs = append(p.Runs, b.runTable(s, p.Root))
	}
	return render("scenario.html", p)
}

func (b *builder) where(s *series) whereRow {
	r := s.newest()
	began := s.since(func(other *results.Result) bool { return other.Outcome == r.Outcome })
	row := whereRow{
		Env: s.env, Variant: s.variant, Audit: auditFile(s.scenario, s.env), Outcome: badgeOf(r), Rate: share(r.Reproduction), Date: full(r.Start),
		Stale: b.old(r.Start),
	}
	if r.Outcome != judge.Pass {
		row.Reason = r.Reason
	}
	if began.before != nil && (r.Outcome == judge.Pass || r.Outcome == judge.Fail) {
		row.Since = "since " + day(began.first.Start)
	}
	return row
}

// symptomProbe is the probe that notices the failure: the scenario says so; otherwise the one that is slowest under it.
func (b *builder) symptomProbe(s *series) string {
	if known := b.Scenarios[s.scenario]; known != nil {
		for _, v := range known.Variants {
			if v.ID == s.variant {
				return v.Symptom.Probe
			}
		}
	}
	slowest, of := "", -1.0
	if fault := s.newest().Phase("fault"); fault != nil {
		for id, samples := range fault.Probes {
			if samples.P50 > of || samples.P50 == of && id < slowest {
				slowest, of = id, samples.P50
			}
		}
	}
	return slowest
}

func (b *builder) picture(s *series) picture {
	runs := s.runs[max(0, len(s.runs)-maxTrend):]
	probe := b.symptomProbe(s)
	rates := plot.Series{Name: "under the fault", State: plot.Symptom}
	fault, healthy := plot.Series{Name: "under the fault", State: plot.Symptom}, plot.Series{Name: "before it", State: plot.Fine}
	seen, cured := plot.Series{Name: "until a detector fired", State: plot.Symptom}, plot.Series{Name: "until a cure worked", State: plot.Fine}
	t := plot.Trend{ID: "t-" + fileName(s.env+" "+s.variant)}
	for i, r := range runs {
		changed := i > 0 && len(differ(runs[i-1].Versions, r.Versions)) > 0
		t.Runs = append(t.Runs, plot.TrendRun{Label: day(r.Start), Changed: changed})
		bad := r.Outcome != judge.Pass && r.Outcome != judge.Skipped
		add := func(to *plot.Series, at float64) {
			to.Points = append(to.Points, plot.TrendPoint{Run: i, At: at, Low: at, High: at, Bad: bad})
		}
		if n := r.Reproduction.Trials; n > 0 {
			low, high := judge.Wilson(r.Reproduction.Hits, n)
			rates.Points = append(rates.Points, plot.TrendPoint{Run: i, At: float64(r.Reproduction.Hits) / float64(n), Low: low, High: high, Bad: bad})
		}
		if samples, there := probeOf(r, "fault", probe); there {
			add(&fault, samples.P50)
		}
		if samples, there := probeOf(r, "baseline", probe); there {
			add(&healthy, samples.P50)
		}
		if first, slowest := delays(r); true {
			if first != nil {
				add(&seen, *first)
			}
			if slowest != nil {
				add(&cured, *slowest)
			}
		}
	}
	t.Panels = []plot.Panel{{Title: "Attempts that show the failure", Share: true, Series: filled(rates)}}
	if len(fault.Points)+len(healthy.Points) > 0 {
		t.Panels = append(t.Panels, plot.Panel{Title: "Median of " + probe, Series: filled(fault, healthy)})
	}
	if len(seen.Points)+len(cured.Points) > 0 {
		t.Panels = append(t.Panels, plot.Panel{Title: "Delays", Series: filled(seen, cured)})
	}
	t.Title = "Variant " + s.variant + " in " + s.env + ", " + plural(len(runs), "run")
	t.Desc = "From " + full(runs[0].Start) + " to " + full(runs[len(runs)-1].Start) + ". The numbers of the newest runs are in the table below."
	return picture{s.env, s.variant, template.HTML(plot.TrendSVG(t, plot.Wide)), template.HTML(plot.TrendSVG(t, plot.Narrow))}
}

func filled(all ...plot.Series) []plot.Series {
	return slices.DeleteFunc(all, func(s plot.Series) bool { return len(s.Points) == 0 })
}

func probeOf(r *results.Result, phase, probe string) (results.Samples, bool) {
	p := r.Phase(phase)
	if p == nil {
		return results.Samples{}, false
	}
	samples, there := p.Probes[probe]
	return samples, there && samples.Count > 0
}

// delays are the time until the first detector fired under the fault, and that until the slowest remedy had cured it; nil if not known.
func delays(r *results.Result) (seen, cured *float64) {
	for i := range r.Phases {
		p := &r.Phases[i]
		if p.Name == "fault" {
			for _, d := range p.Detectors {
				if d.After != nil && (seen == nil || *d.After < *seen) {
					seen = d.After
				}
			}
		}
		if strings.HasPrefix(p.Name, "remedy/") && p.Recovery != nil && (cured == nil || *p.Recovery > *cured) {
			cured = p.Recovery
		}
	}
	return seen, cured
}

func (b *builder) runTable(s *series, root string) runTable {
	t := runTable{Env: s.env, Variant: s.variant, All: len(s.runs)}
	probe := b.symptomProbe(s)
	for i := len(s.runs) - 1; i >= 0 && len(t.Rows) < maxRuns; i-- {
		r := s.runs[i]
		row := runRow{Date: full(r.Start), Run: r.Run, Report: b.report(root, r), Outcome: badgeOf(r), Rate: rate(r.Reproduction)}
		if samples, there := probeOf(r, "fault", probe); there {
			row.Fault = units.Seconds(samples.P50)
		}
		if samples, there := probeOf(r, "baseline", probe); there {
			row.Well = units.Seconds(samples.P50)
		}
		if i > 0 {
			row.Versions = differ(s.runs[i-1].Versions, r.Versions)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
