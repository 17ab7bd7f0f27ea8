package website

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/relapse-k8s/relapse/harness/judge"
	"github.com/relapse-k8s/relapse/harness/results"
)

// past is the results of a store, sorted by what pages are about.
type past struct {
	series map[seriesKey]*series
	// environments begins with the one of the newest result.
	environments []*environment
	scenarios    []string
	// runs is how many runs there are.
	runs int
}

// rowKey is what is compared from run to run, in one environment: then it is a seriesKey.
type rowKey struct{ scenario, variant string }

type seriesKey struct {
	rowKey
	env string
}

// series is the runs of a variant in an environment, oldest first. There is at least one.
type series struct {
	seriesKey
	runs []*results.Result
}

func (s *series) newest() *results.Result { return s.runs[len(s.runs)-1] }

// environment is where runs took place, and the nights on which they did, oldest first.
type environment struct {
	key    string
	nights []*night
}

func (e *environment) newest() *night { return e.nights[len(e.nights)-1] }

// night is the results of an environment that belong together: those of a suite, or of its shards on several machines.
type night struct {
	begin, end time.Time
	versions   map[string]string
	results    map[rowKey]*results.Result
}

// apart is the time without a result that ends a night.
const apart = 6 * time.Hour

// pastOf sorts results, which come in the order of time.
func pastOf(all []*results.Result) *past {
	p := &past{series: map[seriesKey]*series{}}
	environments, runs := map[string]*environment{}, map[string]bool{}
	for _, r := range all {
		key := seriesKey{rowKey{r.Scenario, r.Variant}, r.Env.Key()}
		s := p.series[key]
		if s == nil {
			s = &series{seriesKey: key}
			p.series[key] = s
		}
		s.runs = append(s.runs, r)
		env := environments[key.env]
		if env == nil {
			env = &environment{key: key.env}
			environments[key.env] = env
		}
		env.add(r)
		runs[r.Run] = true
	}
	p.runs = len(runs)
	p.environments = slices.SortedFunc(maps.Values(environments), func(a, b *environment) int {
		return cmp.Or(b.newest().end.Compare(a.newest().end), cmp.Compare(a.key, b.key))
	})
	for key := range p.series {
		p.scenarios = append(p.scenarios, key.scenario)
	}
	slices.Sort(p.scenarios)
	p.scenarios = slices.Compact(p.scenarios)
	return p
}

// add puts a result into the last night, or begins the next one: after a pause, with another relapse, or when a variant comes again.
func (e *environment) add(r *results.Result) {
	key := rowKey{r.Scenario, r.Variant}
	if len(e.nights) > 0 {
		n := e.newest()
		if n.results[key] == nil && r.Start.Sub(n.end) < apart && n.versions["relapse"] == r.Versions["relapse"] {
			n.end, n.results[key] = r.Start, r
			return
		}
	}
	e.nights = append(e.nights, &night{r.Start, r.Start, r.Versions, map[rowKey]*results.Result{key: r}})
}

// of lists the series of a scenario: by environment, then by variant.
func (p *past) of(scenario string) []*series {
	var all []*series
	for key, s := range p.series {
		if key.scenario == scenario {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *series) int { return cmp.Or(cmp.Compare(a.env, b.env), cmp.Compare(a.variant, b.variant)) })
	return all
}

// turn is when something began: the first run in which it was so without a break until the newest, and the last one before it.
type turn struct {
	first *results.Result
	// before is nil if it was so in all runs that are known.
	before *results.Result
}

// since finds when what is true of the newest run began. Runs that were skipped or inconclusive say nothing of it.
func (s *series) since(is func(*results.Result) bool) turn {
	t := turn{first: s.newest()}
	for i := len(s.runs) - 2; i >= 0; i-- {
		r := s.runs[i]
		switch {
		case is(r):
			t.first = r
		case r.Outcome == judge.Pass || r.Outcome == judge.Fail:
			t.before = r
			return t
		}
	}
	return t
}

// versionChange is a version that differs between two runs. Before or After is empty if one of them does not have it.
type versionChange struct {
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// differ lists the versions that both have and that are not the same.
func differ(before, after map[string]string) []versionChange {
	var all []versionChange
	for name, a := range after {
		if b := before[name]; b != "" && b != a {
			all = append(all, versionChange{name, b, a})
		}
	}
	// What people suspect first comes first.
	rank := []string{"relapse", "kernel", "kubernetes", "kube-proxy", "coredns", "cni"}
	slices.SortFunc(all, func(a, b versionChange) int {
		return cmp.Or(cmp.Compare(order(rank, a.Name), order(rank, b.Name)), strings.Compare(a.Name, b.Name))
	})
	return all
}

func order(list []string, name string) int {
	if i := slices.Index(list, name); i >= 0 {
		return i
	}
	return len(list)
}
