package website

import (
	"maps"
	"slices"

	"github.com/relapse-k8s/relapse/harness/results"
	"github.com/relapse-k8s/relapse/reports"
)

// claimsOf puts the claims of the newest runs of a scenario side by side, environment by environment.
func claimsOf(all []*series) claimTable {
	var t claimTable
	says := map[string]string{}
	found := map[[2]string]results.Claim{}
	for _, s := range all {
		if !slices.Contains(t.Environments, s.env) {
			t.Environments = append(t.Environments, s.env)
		}
		for _, c := range s.newest().Claims {
			says[c.ID] = c.Says
			found[[2]string{c.ID, s.env}] = c
		}
	}
	for _, id := range slices.Sorted(maps.Keys(says)) {
		row := claimRow{ID: id, Says: says[id]}
		if row.Says == "" {
			row.Says = id
		}
		for _, env := range t.Environments {
			c, there := found[[2]string{id, env}]
			cell := claimCell{Env: env, Result: reports.Badge{Class: "skipped", Symbol: "·", Word: "not run"}}
			if there {
				cell.Result = reports.ClaimBadge(c.Expected, c.Result)
				cell.Note = c.Seen
			}
			row.Cells = append(row.Cells, cell)
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
