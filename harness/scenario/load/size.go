package load

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/harness/scenario"
)

// Limits of a file's text, far beyond any scenario: a file cannot make the loader work or write without end.
const (
	maxValues = 20_000
	maxDepth  = 50
	// maxPath is the length of a field's path.
	maxPath = 1000
	// maxErrors is how many errors of a file are reported.
	maxErrors = 200
)

// small reports whether a document keeps to these limits, and reports the first place where it does not.
func small(root *yaml.Node, r *report) bool {
	values := 0
	var check func(n *yaml.Node, path string, depth int) bool
	check = func(n *yaml.Node, path string, depth int) bool {
		why := ""
		switch values++; {
		case values > maxValues:
			why = fmt.Sprintf("the file has more than %d values", maxValues)
		case depth > maxDepth:
			why, path = fmt.Sprintf("nested more than %d deep", maxDepth), ""
		case len(path) > maxPath:
			why, path = fmt.Sprintf("the names of the fields around this one are longer than %d characters", maxPath), ""
		}
		if why != "" {
			r.add(where(n), path, "%s", why)
			return false
		}
		for i, sub := range n.Content {
			at := path
			switch {
			case n.Kind == yaml.SequenceNode:
				at = index(path, i)
			case n.Kind == yaml.MappingNode && i%2 == 1:
				at = join(path, n.Content[i-1].Value)
			}
			if !check(sub, at, depth+1) {
				return false
			}
		}
		return true
	}
	return check(root, "", 1)
}

// short reports whether a list of the scenario's own, or of settings, has no more items than a scenario may have.
func (d *decoder) short(n *yaml.Node, path string) bool {
	if len(n.Content) > scenario.MaxItems {
		return d.fail(n.Content[scenario.MaxItems], path, "must have at most %d items, found %d", scenario.MaxItems, len(n.Content))
	}
	return true
}
