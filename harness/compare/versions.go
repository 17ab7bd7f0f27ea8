package compare

import (
	"maps"
	"slices"
)

// fileVersion is the name under which the digest of the scenario's file is told.
const fileVersion = "scenario file"

// envVersions lists the versions that differ between the sides, by environment. The scenarios' files are told with their pairs.
func envVersions(pairs []*pairing) []EnvVersions {
	type sides [2]map[string]map[string]bool
	all := map[[2]string]*sides{}
	for _, p := range pairs {
		if !p.there[0] || !p.there[1] {
			continue
		}
		k := [2]string{p.Env, p.BaseEnv}
		if all[k] == nil {
			all[k] = &sides{{}, {}}
		}
		for i, r := range p.sides {
			for name, values := range r.versions {
				if name == fileVersion {
					continue
				}
				if all[k][i][name] == nil {
					all[k][i][name] = map[string]bool{}
				}
				maps.Copy(all[k][i][name], values)
			}
		}
	}
	list := []EnvVersions{}
	for _, k := range slices.SortedFunc(maps.Keys(all), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		if changes := changes(all[k][0], all[k][1]); len(changes) > 0 {
			list = append(list, EnvVersions{Env: k[0], BaseEnv: k[1], Differ: changes})
		}
	}
	return list
}

// between is what differs between the versions of two runs.
func between(base, head *Ref) []VersionChange {
	return changes(base.all(), head.all())
}

func (r *Ref) all() map[string]map[string]bool {
	all := map[string]map[string]bool{}
	for name, version := range r.versions {
		all[name] = map[string]bool{version: true}
	}
	if r.digest != "" {
		all[fileVersion] = map[string]bool{r.digest: true}
	}
	return all
}

func changes(base, head map[string]map[string]bool) []VersionChange {
	names := slices.Sorted(maps.Keys(base))
	names = slices.AppendSeq(names, maps.Keys(head))
	slices.Sort(names)
	var list []VersionChange
	for _, name := range slices.Compact(names) {
		if maps.Equal(base[name], head[name]) {
			continue
		}
		list = append(list, VersionChange{Name: name, Base: sorted(base[name]), Head: sorted(head[name])})
	}
	return list
}

// sorted are the values of a set; a list that is empty and not nil if there are none.
func sorted(set map[string]bool) []string {
	return slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(set))))
}
