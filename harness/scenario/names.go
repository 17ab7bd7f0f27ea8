package scenario

import (
	"regexp"
	"slices"
)

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func validName(name string) bool { return nameForm.MatchString(name) }

// names are the ids of one list of the file, which others refer to.
type names struct {
	noun, plural string
	list         []string
	// unsure is true where one could not be read: it may be the one that is referred to.
	unsure bool
	// note is added where a name is not among them.
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
		case !validName(name):
			v.r.addAt(at, "%q is not a name: use lower case letters, digits and dashes inside", name)
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
		v.r.addAt(path, "there is no %s %q%s%s", all.noun, name, hint(name, all.plural, all.list), all.note)
	}
	return false
}
