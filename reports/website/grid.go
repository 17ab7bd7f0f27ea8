package website

import (
	"cmp"
	"maps"
	"slices"

	"github.com/relapse-k8s/relapse/harness/results"
)

// maxColumns is how many nights the grid shows at most, over all environments.
const maxColumns = 40

// grid is every scenario and variant against the newest nights of every environment.
type grid struct {
	Environments []gridEnvironment
	Columns      []gridColumn
	Rows         []gridRow
	// Left is how many environments there are beside those that are shown.
	Left int
}

type gridEnvironment struct {
	Key, Link string
	Stale     bool
	Nights    int
}

// gridColumn is a night. The newest of an environment names its versions, the others only what was different then.
type gridColumn struct {
	Date     string
	First    bool
	Versions []fact
}

type gridRow struct {
	Scenario, Variant, Link string
	Cells                   []gridCell
}

// gridCell is the outcome of a night with the share of attempts that show the failure. Class is empty if there was no run.
type gridCell struct {
	Class, Symbol, Word, Number, Link string
	First                             bool
}

// headVersions are the versions that a column names, in this order.
var headVersions = []string{"relapse", "kernel", "kubernetes", "kube-proxy", "coredns", "cni", "glibc"}

func (b *builder) grid() grid {
	var g grid
	shown := b.past.environments
	if len(shown) > maxColumns {
		shown, g.Left = shown[:maxColumns], len(shown)-maxColumns
	}
	each := max(1, min(b.Nights, maxColumns/max(1, len(shown))))
	var nights []*night
	for _, env := range shown {
		newest := slices.Clone(env.nights[max(0, len(env.nights)-each):])
		slices.Reverse(newest)
		g.Environments = append(g.Environments, gridEnvironment{env.key, comparisonFile(env.key), b.stale(env), len(newest)})
		for i, n := range newest {
			g.Columns = append(g.Columns, column(n, newest[:i]))
			nights = append(nights, n)
		}
	}
	for _, row := range b.rows() {
		r := gridRow{Scenario: row.scenario, Variant: row.variant, Link: scenarioFile(row.scenario)}
		for i, n := range nights {
			r.Cells = append(r.Cells, cell(n.results[row], g.Columns[i].First))
		}
		g.Rows = append(g.Rows, r)
	}
	return g
}

// rows are the scenarios and variants of all environments.
func (b *builder) rows() []rowKey {
	seen := map[rowKey]bool{}
	for key := range b.past.series {
		seen[key.rowKey] = true
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b rowKey) int {
		return cmp.Or(cmp.Compare(a.scenario, b.scenario), cmp.Compare(a.variant, b.variant))
	})
}

func column(n *night, newer []*night) gridColumn {
	c := gridColumn{Date: minute(n.begin), First: len(newer) == 0}
	for _, name := range headVersions {
		version := n.versions[name]
		if version != "" && (c.First || newer[len(newer)-1].versions[name] != version) {
			c.Versions = append(c.Versions, fact{name, short(version)})
		}
	}
	return c
}

func cell(r *results.Result, first bool) gridCell {
	if r == nil {
		return gridCell{First: first}
	}
	badge := badgeOf(r)
	c := gridCell{Class: badge.Class, Symbol: badge.Symbol, Word: badge.Word, Number: share(r.Reproduction), First: first}
	if first {
		c.Link = auditFile(r.Scenario, r.Env.Key())
	}
	return c
}
