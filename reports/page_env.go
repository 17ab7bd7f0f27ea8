package reports

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/relapse-k8s/relapse/clusters/agent/units"
)

// environment is where the run was made.
type environment struct {
	Versions    []pair
	Offers      []offerRow
	Differences []string
	Skipped     []pair
	Changes     []changeRow
	Waits       []waitRow
}

type offerRow struct {
	Name string
	OK   Badge
	Why  string
}

// changeRow is a step at one place: when it was made and when it was undone.
type changeRow struct{ Lane, Phase, ID, Name, On, Made, Undone, Error string }

// waitRow is a wait for something that did not come.
type waitRow struct{ Where, For, Last, Took string }

func (d Data) environment() environment {
	env := environment{Differences: d.Run.Differences, Changes: d.changes()}
	for _, name := range sortedKeys(d.Run.Versions) {
		env.Versions = append(env.Versions, pair{name, d.Run.Versions[name], ""})
	}
	for _, name := range sortedKeys(d.Run.Offers) {
		o := d.Run.Offers[name]
		b := Badge{"skipped", "–", "no"}
		if o.OK {
			b = Badge{"pass", "✓", "yes"}
		}
		env.Offers = append(env.Offers, offerRow{name, b, o.Why})
	}
	for _, name := range sortedKeys(d.Run.Skipped) {
		env.Skipped = append(env.Skipped, pair{name, d.Run.Skipped[name], ""})
	}
	for _, e := range d.Events {
		if e.Wait != nil && !e.Wait.OK {
			env.Waits = append(env.Waits, waitRow{place(e), e.Wait.For, e.Wait.Last, units.Seconds(e.Wait.Took)})
		}
	}
	return env
}

// changes pairs what was made with its undoing: the last one made of the same id at the same place in the same lane.
func (d Data) changes() []changeRow {
	var rows []changeRow
	for _, e := range d.Events {
		c := e.Change
		if c == nil {
			continue
		}
		at := units.Seconds(e.T)
		if c.Action == "undo" {
			open := -1
			for i, r := range rows {
				if r.Lane == e.Lane && r.ID == c.ID && r.On == c.On && r.Undone == "" && r.Error == "" {
					open = i
				}
			}
			if open >= 0 {
				rows[open].Undone, rows[open].Error = at, c.Error
				continue
			}
		}
		row := changeRow{Lane: e.Lane, Phase: e.Phase, ID: c.ID, Name: c.Name, On: c.On, Made: at, Error: c.Error}
		if c.Action == "undo" {
			row.Made, row.Undone = "", at
		}
		rows = append(rows, row)
	}
	return rows
}

// restoredSection says whether everything is as it was.
type restoredSection struct {
	Outcome     Badge
	Text        string
	Differences []string
}

func (d Data) restored() restoredSection {
	r := restoredSection{Differences: slices.Clone(d.Verdict.Restored.Differences)}
	for _, e := range d.Events {
		if e.Fingerprint == nil || !d.Crashed {
			continue
		}
		for _, diff := range e.Fingerprint.Differences {
			r.Differences = append(r.Differences, e.Fingerprint.On+": "+diff)
		}
	}
	compared := 0
	for _, e := range d.Events {
		if e.Fingerprint != nil {
			compared++
		}
	}
	switch {
	case d.Crashed:
		r.Outcome = Badge{"inconclusive", "?", "Not known"}
		r.Text = "The run ended early. The guard undoes what a killed run leaves; “relapse clean” says what it finds."
	case d.Verdict.Restored.Clean:
		r.Outcome = Badge{"pass", "✓", "As before"}
		r.Text = "Links, addresses, routes, rules, rulesets and sysctls equal the fingerprint taken before the fault"
		if compared > 0 {
			r.Text += ", in " + count(compared, "comparison")
		}
		r.Text += "."
	case d.Verdict.Outcome == "skipped":
		r.Outcome = Badge{"skipped", "–", "Nothing was changed"}
	default:
		r.Outcome = Badge{"fail", "✗", "Not as before"}
	}
	return r
}

// reproduce says how to do it again.
type reproduce struct {
	Command, Judge, Seed string
	Digest, Folder       string
	Repeat               int
}

func (d Data) reproduce() reproduce {
	folder := cmp.Or(d.Dir, "RUN-FOLDER")
	return reproduce{
		Command: CommandLine(d.Run.Command), Judge: "relapse judge " + shellQuote(folder),
		Seed: strconv.FormatUint(d.Run.Seed, 10), Digest: d.Run.Digest, Folder: folder, Repeat: d.Run.Repeat,
	}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.SortedFunc(maps.Keys(m), strings.Compare)
}
