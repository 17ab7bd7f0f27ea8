// Package website makes a folder of pages over the results of many runs: what changed, the newest outcomes of all scenarios in all
// environments, a page for each scenario, an audit of each of its newest runs, and comparisons. The pages need no server, no script and
// nothing from elsewhere.
package website

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/compare"
	"github.com/relapse-k8s/relapse/harness/known"
	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/reports"
)

// Site is what the pages are made of. Names and texts in results may be anything; the pages escape them.
type Site struct {
	// Results in the order of time, each once. Those of a selection Last of a store keep the site small.
	Results []*results.Result
	// Problems is what of the store could not be read.
	Problems []results.Problem
	// Scenarios are those that this relapse knows, by id. Their pages tell their story.
	Scenarios map[string]*scenario.Scenario
	// Known are differences that are no news; KnownFile is the file that they are from.
	Known     known.List
	KnownFile string
	// Repository is the address of the project's repository, where issues are opened; empty for none.
	Repository string
	// Runs is the address of the folder with the run folders, as seen from the first page; empty if there is none.
	Runs string
	// Selected is a comparison that somebody asked for, which gets a page of its own; nil for none.
	Selected *compare.Comparison
	// Now is when the site is made.
	Now time.Time
	// Stale is the age of its newest result from which an environment is marked.
	Stale time.Duration
	// Nights is how many of the newest nights of each environment the grid shows.
	Nights int
}

//go:embed templates
var files embed.FS

var (
	templates = template.Must(reports.Templates().ParseFS(files, "templates/*.html"))
	style     = func() string {
		text, err := files.ReadFile("templates/style.css")
		if err != nil {
			panic("website: " + err.Error()) // the file is part of the program
		}
		return strings.TrimSpace(string(text))
	}()
)

// head is what every page has.
type head struct {
	reports.Frame

	Outcome reports.Badge
	// Title is the page's, beside the outcome.
	Title string
	// Root is the way to the first page's folder: empty, ../ or ../../.
	Root string
	// Made is when the site was made.
	Made string
}

// builder makes the pages of a site.
type builder struct {
	Site
	past  *past
	frame reports.Frame
	// comparisons are of the newest runs with those before, by environment; changes are what they found, what counts most first.
	comparisons map[string]*compare.Comparison
	changes     []change
}

func newBuilder(site Site) *builder {
	b := &builder{Site: site, past: pastOf(site.Results), frame: reports.NewFrame(style), comparisons: map[string]*compare.Comparison{}}
	for _, e := range b.past.environments {
		if c := b.compareEnvironment(e); c != nil {
			b.comparisons[e.key] = c
			b.changes = append(b.changes, b.changesOf(c, e.key)...)
		}
	}
	slices.SortStableFunc(b.changes, byKind)
	return b
}

// head of a page at a path from the first page.
func (b *builder) head(path string, outcome reports.Badge, title string) head {
	return head{b.frame, outcome, title, strings.Repeat("../", strings.Count(path, "/")), reports.Date(b.Now.Format(time.RFC3339))}
}

// Done is what a site says.
type Done struct {
	// Line is the site in one line.
	Line string
	// Worse is whether something got worse that nobody expected.
	Worse bool
}

// Write makes the pages in a folder. The folder must be new, empty, or one of an older site, whose pages are then replaced.
func Write(ctx context.Context, dir string, site Site) (Done, error) {
	b := newBuilder(site)
	out, err := openFolder(dir)
	if err != nil {
		return Done{}, err
	}
	defer out.close()
	for path, page := range b.pages {
		if ctx.Err() != nil {
			return Done{}, context.Cause(ctx)
		}
		data, err := page()
		if err != nil {
			return Done{}, fmt.Errorf("page %s: %w", path, err)
		}
		if err := out.write(path, data); err != nil {
			return Done{}, err
		}
	}
	news, expected := b.news()
	return Done{b.line(news, len(expected)), len(news) > 0 && news[0].kind.Bad()}, out.finish()
}

// pages yields the path of each page, and what makes it.
func (b *builder) pages(yield func(string, func() ([]byte, error)) bool) {
	if !yield(indexFile, b.index) {
		return
	}
	for path, file := range map[string]func() ([]byte, error){"summary.md": b.markdown, "changes.json": b.json} {
		if !yield(path, file) {
			return
		}
	}
	if b.Selected != nil && !yield(selectedFile, func() ([]byte, error) {
		return b.comparison(selectedFile, b.Selected.Base.Name+" and "+b.Selected.Head.Name, b.Selected)
	}) {
		return
	}
	for key, c := range b.comparisons {
		path := comparisonFile(key)
		if !yield(path, func() ([]byte, error) { return b.comparison(path, "The newest runs in "+key+", and those before", c) }) {
			return
		}
	}
	for _, id := range b.past.scenarios {
		all := b.past.of(id)
		if !yield(scenarioFile(id), func() ([]byte, error) { return b.scenario(id, all) }) {
			return
		}
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].env == all[0].env {
				n++
			}
			here := all[:n]
			if !yield(auditFile(id, here[0].env), func() ([]byte, error) { return b.audit(here) }) {
				return
			}
			all = all[n:]
		}
	}
}

func render(name string, page any) ([]byte, error) {
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, name, page); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
