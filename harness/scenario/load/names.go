package load

import (
	"slices"

	"github.com/relapse-k8s/relapse/harness/scenario"
	"github.com/relapse-k8s/relapse/harness/scenario/suggest"
)

// names are the ids of one list of the file, which others refer to.
type names struct {
	noun, plural string
	list         []string
	// unsure is true if one could not be read: it may be the one that is referred to.
	unsure bool
	// note is added if a name is not among them.
	note string
}

// names reads the ids of a list, and checks that they are well-formed and unique.
func (v *validator) names(noun, plural, path string, n int, id func(int) string) names {
	all := names{noun: noun, plural: plural, unsure: v.r.broken(path) && n == 0}
	for i := range n {
		name, at := id(i), join(index(path, i), "id")
		switch {
		case name == "" || v.r.blocked(at):
			all.unsure = true
			continue
		case !scenario.ValidName(name):
			v.notName(at, name)
		case slices.Contains(all.list, name):
			v.r.addAt(at, "there is another %s %q: %s need names of their own", noun, name, plural)
		}
		all.list = append(all.list, name)
	}
	return all
}

// ref checks that a name is one of all.
func (v *validator) ref(path, name string, all names) bool {
	if slices.Contains(all.list, name) {
		return true
	}
	if !all.unsure && !v.r.blocked(path) {
		v.r.addAt(path, "unknown %s %q%s%s", all.noun, name, suggest.Hint(name, all.plural, all.list), all.note)
	}
	return false
}

// notName says what is wrong with a name.
func (v *validator) notName(path, name string) {
	if len(name) > scenario.MaxName {
		v.r.addAt(path, "the name has %d characters: at most %d are allowed", len(name), scenario.MaxName)
		return
	}
	v.r.addAt(path, "%q is not a name: use lower case letters, digits and dashes inside", name)
}
