package scenario

import (
	"fmt"
	"strings"
)

// Place says where something is done, read or run.
type Place struct {
	// Kind is nodes, node, node-of, pod, outside, host or cluster.
	Kind string
	// Name of the node or pod, for the kinds that have one.
	Name string
}

func (p Place) String() string {
	if p.Name == "" {
		return p.Kind
	}
	return p.Kind + "/" + p.Name
}

// ParsePlace reads nodes, node/NAME, node-of/POD, pod/NAME, outside, host or cluster.
func ParsePlace(text string) (Place, error) {
	kind, name, named := strings.Cut(text, "/")
	switch kind {
	case "nodes", "outside", "host", "cluster":
		if !named {
			return Place{Kind: kind}, nil
		}
	case "node", "node-of", "pod":
		if validName(name) {
			return Place{Kind: kind, Name: name}, nil
		}
	}
	return Place{}, fmt.Errorf("%q is not a place: write nodes, node/NAME, node-of/POD, pod/NAME, outside, host or cluster", text)
}

// place checks that a place is well-formed and that what it names exists.
func (v *validator) place(path, text string) (Place, bool) {
	if v.r.blocked(path) {
		return Place{}, false
	}
	p, err := ParsePlace(text)
	if err != nil {
		v.r.addAt(path, "%s", err)
		return Place{}, false
	}
	switch p.Kind {
	case "pod", "node-of":
		return p, v.ref(path, p.Name, v.pods)
	case "node":
		return p, v.ref(path, p.Name, v.nodes)
	}
	return p, true
}
