package cli

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/relapse-k8s/relapse/clusters/kind"
	"github.com/relapse-k8s/relapse/clusters/lab"
	"github.com/relapse-k8s/relapse/harness/scenario"
	loader "github.com/relapse-k8s/relapse/harness/scenario/load"
)

// target says for which kinds of cluster the objects of a scenario's file are checked.
type target struct {
	// cluster is lab or kind; empty means both.
	cluster string
	// anyObject allows objects that could hurt this machine on kind.
	anyObject bool
}

// checker is the check of one kind of cluster.
type checker struct {
	name  string
	check func(objects [][]byte) []error
	// lacks are features that no such cluster offers. What needs one of them is skipped there, so its objects need no check.
	lacks []string
}

func (t target) checkers() []checker {
	all := []checker{
		{"the lab", (&lab.Lab{}).Check, []string{"kubernetes"}},
		{"kind", (&kind.Kind{Options: kind.Options{AnyObject: t.anyObject}}).Check, nil},
	}
	switch t.cluster {
	case "lab":
		return all[:1]
	case "kind":
		return all[1:]
	}
	return all
}

// skips says whether objects with these needs are never applied to such a cluster.
func (c checker) skips(needs []string) bool {
	return slices.ContainsFunc(needs, func(need string) bool { return slices.Contains(c.lacks, need) })
}

// supports names the kinds of cluster that a scenario without errors can run on.
func (t target) supports(s *scenario.Scenario) []string {
	var names []string
	for _, c := range t.checkers() {
		if !slices.ContainsFunc(s.Variants, func(v scenario.Variant) bool { return !c.skips(s.NeedsOf(&v)) }) {
			continue
		}
		names = append(names, c.name)
	}
	return names
}

// objectErrors returns what the clusters do not support in a scenario's objects, with the lines of its file.
func (t target) objectErrors(s *scenario.Scenario, path string, text []byte) loader.Errors {
	var file yaml.Node
	_ = yaml.Unmarshal(text, &file) // it has been read already
	var all loader.Errors
	said := map[string]bool{} // an error in the scenario's own workload is found once for each variant
	for _, c := range t.checkers() {
		for _, objects := range s.Objects() {
			if c.skips(objects.Needs) {
				continue
			}
			problems := c.check(objects.JSON)
			if len(problems) == 0 {
				continue
			}
			of := c.objectOf(objects)
			for _, problem := range problems {
				message := problem.Error()
				if said[message] {
					continue
				}
				said[message] = true
				all = append(all, located(&file, path, of(message), message))
			}
		}
	}
	return all
}

// located gives an error of an object the line of the field that it names, or else of the object.
func located(file *yaml.Node, path, object, message string) loader.Error {
	e := loader.Error{File: path, Line: 1, Col: 1, Path: object, Message: message}
	n := find(file, object+"."+fieldOf(message))
	if n == nil {
		n = find(file, object)
	}
	if n != nil {
		e.Line, e.Col = n.Line, n.Column
	}
	return e
}

// objectOf returns a function that finds the path of the object that has a problem on its own, or of the first object if none has.
func (c checker) objectOf(objects scenario.Objects) func(problem string) string {
	paths := map[string]string{}
	for i, object := range objects.JSON {
		for _, problem := range c.check([][]byte{object}) {
			paths[problem.Error()] = objects.Paths[i]
		}
	}
	return func(problem string) string { return cmp.Or(paths[problem], objects.Paths[0]) }
}

// fieldOf is the field that a problem names, as in: Service web: spec.type: the lab has only ClusterIP.
func fieldOf(problem string) string {
	_, rest, _ := strings.Cut(problem, ": ")
	field, _, _ := strings.Cut(rest, ": ")
	return field
}

// find returns the node at a path such as workload[0].metadata, or nil.
func find(n *yaml.Node, path string) *yaml.Node {
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) }) {
		var next *yaml.Node
		switch n.Kind {
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(step); err == nil && i < len(n.Content) {
				next = n.Content[i]
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == step {
					next = n.Content[i+1]
				}
			}
		}
		if next == nil {
			return nil
		}
		n = next
	}
	return n
}
