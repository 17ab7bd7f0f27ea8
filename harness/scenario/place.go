package scenario

import (
	"fmt"
	"regexp"
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

// Places are the forms of a place, with their meaning.
var Places = []struct{ Form, Means string }{
	{"nodes", "all nodes"},
	{"node/NAME", "one node: node-1, node-2, and so on"},
	{"node-of/POD", "the node that the pod runs on, or the nodes of all pods of a Deployment"},
	{"pod/NAME", "one pod, or all pods of a Deployment"},
	{"outside", "a machine beyond the cluster"},
	{"host", "this machine itself"},
	{"cluster", "the cluster as a whole"},
}

// PlaceKinds are all kinds of place.
var PlaceKinds = func() []string {
	var kinds []string
	for _, place := range Places {
		kind, _, _ := strings.Cut(place.Form, "/")
		kinds = append(kinds, kind)
	}
	return kinds
}()

// inAddress is a node or pod in an address, in place of a host.
var inAddress = regexp.MustCompile(`^(\w+://)?((?:node|node-of|pod)/[^/:]+)(:\d.*)$`)

// SplitAddress finds the node or pod in an address such as node/node-1:30080 or http://pod/web:8080/, and what is before and after it. The
// place is empty if there is none.
func SplitAddress(text string) (before, place, after string) {
	m := inAddress.FindStringSubmatch(text)
	if m == nil {
		return text, "", ""
	}
	return m[1], m[2], m[3]
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
		if ValidName(name) {
			return Place{Kind: kind, Name: name}, nil
		}
	}
	return Place{}, fmt.Errorf("%q is not a place: write nodes, node/NAME, node-of/POD, pod/NAME, outside, host or cluster", text)
}
